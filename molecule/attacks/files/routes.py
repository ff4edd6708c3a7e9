# SPDX-License-Identifier: GPL-3.0-or-later
"""Every route that the installed release registers, as JSON: of the FastAPI application, and of the Flask one below it.

usage, as root: set -a; . /etc/labtrack/mlflow/main/environment; . /etc/labtrack/object_store/environment; as MLflow's user: python routes.py
"""

from __future__ import annotations

import json
import os
import sys


def walk(routes, prefix: str = "") -> list[tuple[str, str]]:
    """Method and path of each, mounted applications and routers included."""
    found = []
    for route in routes:
        path = prefix + getattr(route, "path", "")
        below = getattr(route, "routes", None) or getattr(getattr(route, "app", None), "routes", None)
        if below:
            found += walk(below, path)
        elif getattr(route, "methods", None):
            found += [(method, path) for method in route.methods]
        else:
            found += [("GET", path)]
    return found


def main() -> None:
    """Print them."""
    answer = os.dup(1)
    os.dup2(2, 1)
    sys.path.insert(0, os.environ["SERVER_DIR"])
    import mlflow_private

    asgi, wsgi = mlflow_private.applications()
    found = set(walk(asgi.application.routes))
    found |= {(method, rule.rule) for rule in wsgi.url_map.iter_rules() for method in rule.methods}
    with os.fdopen(answer, "w") as file:
        json.dump(sorted(found), file)


if __name__ == "__main__":
    main()
