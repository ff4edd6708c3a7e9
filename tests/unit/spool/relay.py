# SPDX-License-Identifier: GPL-3.0-or-later
"""A relay between sync and server that cuts connections, answers with errors, or kills the sync at a chosen request."""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Relay:
    """Passes requests on, and does mischief.

    Args:
        port: where the server listens.
        before: called with (number, method, path) before a request goes on; what it returns, (status, headers), is answered instead.
        after: called with the same when the server has answered, before the answer is passed on; true swallows the answer.
    """

    def __init__(self, port: int, before: Callable[..., tuple[int, dict[str, str]] | None] | None = None, after: Callable[..., bool] | None = None) -> None:
        self.requests: list[str] = []
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                relay.requests.append(f"{self.command} {self.path}")
                number = len(relay.requests)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                instead = before(number, self.command, self.path) if before else None
                if instead:
                    self.answer(instead[0], instead[1], b"")
                    return
                link = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
                link.request(self.command, self.path, body, {key: value for key, value in self.headers.items() if key != "Host"})
                answer = link.getresponse()
                content = answer.read()
                link.close()
                if after and after(number, self.command, self.path):
                    self.close_connection = True
                    return
                self.answer(answer.status, {"Content-Type": answer.headers.get("Content-Type", "")}, content)

            def answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
                self.send_response(status)
                for key, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def kill(pid: int) -> None:
    """At once, without a chance to clean up."""
    os.kill(pid, signal.SIGKILL)
