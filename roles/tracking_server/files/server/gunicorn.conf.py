# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of gunicorn. systemd passes the sockets: the ASGI one first, then the one of the REST API."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import mlflow_private
import workers as kinds

kinds.Worker.asgi_workers = int(os.environ["LABTRACK_ASGI_WORKERS"])

wsgi_app = "application:applications"
preload_app = True
worker_class = "workers.Worker"
workers = kinds.Worker.asgi_workers + int(os.environ["LABTRACK_API_WORKERS"])
threads = int(os.environ["LABTRACK_API_THREADS"])
keepalive = 300  # longer than the proxy keeps an idle connection, so that it is the proxy that closes it
timeout = 300
graceful_timeout = int(os.environ["LABTRACK_DRAIN_SECONDS"])  # an ordinary stop is bounded by systemd, earlier
worker_tmp_dir = "/dev/shm"
control_socket_disable = True


def on_starting(server):
    """The arbiter knows which workers are alive."""
    kinds.Worker.arbiter = server


def when_ready(server):
    """After the applications are loaded, before the first fork."""
    mlflow_private.before_fork()
