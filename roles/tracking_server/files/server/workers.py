# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers of two kinds below one gunicorn master: uvicorn for the ASGI socket, threads for the socket of the REST API.

The threaded server needs about half the CPU time of the ASGI one for a REST request, which MLflow's ASGI application only passes
on to the same Flask application; uploads, downloads and traces stream through the ASGI one.
"""

from __future__ import annotations

import time
from functools import partial
from itertools import takewhile
from selectors import EVENT_READ

from gunicorn.workers.gthread import ThreadWorker
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn_worker import UvicornWorker

# The proxy keeps connections that it was told to keep, and may send a request while the server closes one: that request would be lost. So at
# the end a connection is closed with an answer that says so, or when the proxy has not used it for so long. It takes the most recent one first.
IDLE_SECONDS_AT_STOP = 1.0


class PatientProtocol(HttpToolsProtocol):
    """uvicorn would close idle connections at once, and those that have not sent their first request yet."""

    stopping = False

    def shutdown(self) -> None:
        """What uvicorn calls for each connection when the worker is to end."""
        self.stopping = True
        if self.cycle is None or self.cycle.response_complete:
            self._close_when_idle()
        elif not self.cycle.response_started:
            self.cycle.keep_alive = False

    def on_headers_complete(self) -> None:
        """A further request is the last one of its connection."""
        super().on_headers_complete()
        if self.stopping and self.cycle and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def on_response_complete(self) -> None:
        """The client was told that this connection stays open."""
        super().on_response_complete()
        if self.stopping and not self.pipeline and not self.transport.is_closing():
            self._close_when_idle()

    def _close_when_idle(self) -> None:
        self._unset_keepalive_if_required()
        self.timeout_keep_alive_task = self.loop.call_later(IDLE_SECONDS_AT_STOP, self.timeout_keep_alive_handler)


class AsgiWorker(UvicornWorker):
    """Every route of MLflow."""

    CONFIG_KWARGS = {"loop": "uvloop", "http": PatientProtocol, "access_log": False}

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.config.timeout_graceful_shutdown = self.cfg.graceful_timeout

    def load_wsgi(self) -> None:
        """Take the first of the two applications."""
        self.wsgi = self.app.wsgi().asgi


class ApiWorker(ThreadWorker):
    """The REST API."""

    def load_wsgi(self) -> None:
        """Take the second of the two applications."""
        self.wsgi = self.app.wsgi().wsgi

    def finish_request(self, conn, fs) -> None:
        """gunicorn would close a connection whose client was just told that it stays open."""
        if self.alive or fs.cancelled() or fs.exception() or fs.result() is not True:
            super().finish_request(conn, fs)
            return
        conn.sock.setblocking(False)
        conn.timeout = time.monotonic() + IDLE_SECONDS_AT_STOP
        self.keepalived_conns.append(conn)
        self.poller.register(conn.sock, EVENT_READ, partial(self.on_client_socket_readable, conn))

    def murder_keepalived(self) -> None:
        """At the end, do not wait for the proxy to close its idle connections; gunicorn would wait for the whole grace period."""
        if not self.alive:
            last = time.monotonic() + IDLE_SECONDS_AT_STOP
            for connection in takewhile(lambda connection: connection.timeout > last, self.keepalived_conns):
                connection.timeout = last
        super().murder_keepalived()

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """gunicorn would sleep for the whole grace period at the end."""
        super().wait_for_and_dispatch_events(timeout if self.alive else min(timeout, IDLE_SECONDS_AT_STOP / 4))


class Worker:
    """What gunicorn calls for each process that it is about to fork: says which kind is missing."""

    arbiter = None
    asgi_workers = 1
    made: list = []

    def __new__(cls, age, ppid, sockets, *rest):
        """An AsgiWorker until there are enough of them, then an ApiWorker; with one socket always an AsgiWorker."""
        running = [worker for worker in cls.made if worker.pid in cls.arbiter.WORKERS]
        asgi_running = sum(isinstance(worker, AsgiWorker) for worker in running)
        if len(sockets) == 1 or asgi_running < cls.asgi_workers:
            worker = AsgiWorker(age, ppid, sockets[:1], *rest)
        else:
            worker = ApiWorker(age, ppid, sockets[1:], *rest)
        cls.made = [*running, worker]
        return worker
