# SPDX-License-Identifier: GPL-3.0-or-later
"""On a test machine: logs one metric after the other over a socket of MLflow, and remembers which ones were acknowledged.

usage: writer.py FOLDER CREDENTIALS SOCKET     until FOLDER/stop appears
Standard library only. FOLDER/run has the run's id, FOLDER/acknowledged the steps, FOLDER/summary what happened, as JSON. A request that fails or
gets no answer is sent again with the same number, as MLflow's own client does.
"""

import base64
import configparser
import http.client
import json
import socket
import sys
import time
from pathlib import Path

ANSWER_SECONDS = 300


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket, or to host:port."""

    def connect(self) -> None:
        if self.host.startswith("/"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(ANSWER_SECONDS)
            self.sock.connect(self.host)
        else:
            super().connect()


class Writer:
    """One connection."""

    def __init__(self, address: str, login: str) -> None:
        host, _, port = address.rpartition(":")
        self.connection = Connection(host, int(port), timeout=ANSWER_SECONDS) if host else Connection(address)
        self.headers = {"Content-Type": "application/json", "Host": "localhost"} | ({"Authorization": login} if login else {})

    def ask(self, path: str, body: dict) -> dict:
        """The answer; raises OSError or http.client.HTTPException."""
        try:
            self.connection.request("POST", f"/api/2.0/mlflow/{path}", json.dumps(body), self.headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            raise
        if answer.status != 200:
            raise OSError(f"{answer.status}: {text[:200]!r}")
        return json.loads(text or b"{}")


def main(folder: str, credentials_file: str, address: str) -> None:
    """Write until told to stop."""
    place, credentials = Path(folder), configparser.ConfigParser(interpolation=None)
    credentials.read(credentials_file)
    login = ":".join(credentials["mlflow"][f"mlflow_tracking_{key}"] for key in ("username", "password")) if credentials.sections() else ""
    writer = Writer(address, "Basic " + base64.b64encode(login.encode()).decode() if login else "")
    experiment = writer.ask("experiments/create", {"name": f"writer-{time.time()}"})["experiment_id"]
    run = writer.ask("runs/create", {"experiment_id": experiment, "start_time": int(time.time() * 1000)})["run"]["info"]["run_id"]
    (place / "run").write_text(run)
    summary, number = {"acknowledged": 0, "failed": 0, "longest_seconds": 0.0, "failures": []}, 0
    with (place / "acknowledged").open("w", buffering=1) as acknowledged:
        while not (place / "stop").exists():
            begun = time.monotonic()
            body = {"run_id": run, "key": "number", "value": number, "step": number, "timestamp": int(time.time() * 1000)}
            try:
                writer.ask("runs/log-metric", body)
            except (OSError, http.client.HTTPException) as error:
                summary["failed"] += 1
                summary["failures"] = [*summary["failures"][-4:], repr(error)]
                time.sleep(0.2)  # as long as a client waits before it tries again
                continue
            acknowledged.write(f"{number}\n")
            number += 1
            summary["acknowledged"] = number
            summary["longest_seconds"] = max(summary["longest_seconds"], round(time.monotonic() - begun, 1))
            time.sleep(0.02)
    (place / "summary").write_text(json.dumps(summary))


if __name__ == "__main__":
    main(*sys.argv[1:])
