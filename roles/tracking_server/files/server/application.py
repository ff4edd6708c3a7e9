# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair of applications that gunicorn loads once; each kind of worker takes its own."""

from __future__ import annotations

import mlflow_private


class Applications:
    """gunicorn wants something that can be called."""

    def __init__(self) -> None:
        self.asgi, self.wsgi = mlflow_private.applications()

    def __call__(self, environ, start_response):
        """Answer as the REST API."""
        return self.wsgi(environ, start_response)


applications = Applications()
