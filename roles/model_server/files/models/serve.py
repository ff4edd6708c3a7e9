# Kept by labtrack.mlflow.model_server.
# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow's own scoring server for one version of a model, on the socket that systemd has opened. Runs in the model's environment, as the model's user.

Differs from `mlflow models serve` in three things: the socket outlives a restart, systemd is told when the model is loaded, and a server that is told to stop
ends what it has begun, also connections whose request is still on its way.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys

LISTEN_FD = 3
POLL_SECONDS = 0.05


def notify(text: str) -> None:
    """Tell systemd."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(text.encode(), "\0" + address[1:] if address.startswith("@") else address)


class Below:
    """The application, below the path under which the proxy offers it."""

    def __init__(self, application, prefix: str):
        self.application = application
        self.prefix = prefix

    async def __call__(self, scope, receive, send) -> None:
        """ASGI."""
        if scope["type"] == "http" and scope["path"].startswith(f"{self.prefix}/"):
            scope = {**scope, "path": scope["path"][len(self.prefix) :], "raw_path": scope["raw_path"][len(self.prefix) :]}
        await self.application(scope, receive, send)


def application_of(folder: str):
    """The scoring server of the model; what is missing ends the program with a sentence."""
    import mlflow.pyfunc
    from mlflow.pyfunc import scoring_server

    application = scoring_server.init(mlflow.pyfunc.load_model(folder))
    if not hasattr(application, "router"):
        sys.exit(f"ModelError: the model was logged with MLflow {mlflow.__version__}, whose scoring server is another one. Log it with MLflow 3.")
    return application


def server_of(application):
    """uvicorn, patient at its end."""
    import uvicorn

    class Server(uvicorn.Server):
        """Says when it serves, and ends what has arrived."""

        async def startup(self, sockets=None) -> None:
            await super().startup(sockets=sockets)
            notify("READY=1")

        async def shutdown(self, sockets=None) -> None:
            """Accept nothing more; what is not accepted waits in the socket for the next process. The proxy closes a connection with its answer."""
            notify("STOPPING=1")
            for server in self.servers:
                server.close()
            # a connection that was accepted a moment ago is not listed yet
            await asyncio.sleep(POLL_SECONDS)
            while self.server_state.connections and not self.force_exit:
                await asyncio.sleep(POLL_SECONDS)
            await super().shutdown(sockets=sockets)

    return Server(uvicorn.Config(application, log_level="warning", access_log=False, timeout_keep_alive=5, lifespan="on"))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder of the model")
    parser.add_argument("--prefix", required=True, help="path under which the proxy offers it")
    options = parser.parse_args()
    if os.environ.get("LISTEN_FDS") != "1":
        sys.exit("systemd has passed no socket: this program is started by its unit")
    listener = socket.socket(fileno=LISTEN_FD)
    listener.setblocking(False)
    server = server_of(Below(application_of(options.model), options.prefix))
    server.run(sockets=[listener])


if __name__ == "__main__":
    main()
