# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers of two kinds below one gunicorn master: uvicorn for the ASGI socket, threads for the socket of the REST API.

The threaded server needs about half the CPU time of the ASGI one for a REST request, which MLflow's ASGI application only passes
on to the same Flask application; uploads, downloads and traces stream through the ASGI one.
"""

from __future__ import annotations

import time
from itertools import takewhile

from gunicorn.workers.gthread import ThreadWorker
from uvicorn_worker import UvicornWorker

IDLE_SECONDS_AT_STOP = 1.0


class AsgiWorker(UvicornWorker):
    """Every route of MLflow."""

    CONFIG_KWARGS = {"loop": "uvloop", "http": "httptools", "access_log": False}

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
