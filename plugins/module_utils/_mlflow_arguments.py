# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options shared by the modules that speak MLflow's REST API, as in the doc fragment C(mlflow)."""

from __future__ import annotations

import os
import socket
import typing as t

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_wanted import AccessError
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_api import Api, ApiError
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_database import DatabaseError, read_credentials

CONNECTION: dict[str, dict[str, t.Any]] = {
    "tracking_uri": {"type": "str", "required": True},
    "username": {"type": "str", "default": ""},
    "password": {"type": "str", "default": "", "no_log": True},
    "credentials_file": {"type": "path", "default": ""},
    "ca_file": {"type": "path", "default": ""},
    "host": {"type": "str", "default": ""},
    "timeout_seconds": {"type": "int", "default": 60},
}
STATE = {"type": "str", "choices": ["present", "absent"], "default": "present"}
Answer = dict[str, t.Any]


def api_of(params: dict[str, t.Any]) -> Api:
    """The connection that the options describe; raises ApiError, DatabaseError."""
    name, password = params["username"], params["password"]
    if params["credentials_file"]:
        name, password = read_credentials(params["credentials_file"])
    if not (name and password):
        raise ApiError(
            f"credentials_file is '{params['credentials_file']}': there is no login. Accepted: username and password, or a file in the format of "
            "~/.mlflow/credentials on the machine where the module runs. Give one of them; nothing was changed."
        )
    return Api(params["tracking_uri"], name, password, params["ca_file"], params["host"], params["timeout_seconds"])


def is_missing(params: dict[str, t.Any]) -> bool:
    """Whether the server is certainly not there yet, as seen on its own machine."""
    uri, file = params["tracking_uri"], params["credentials_file"]
    return uri.startswith("unix:/") and ((bool(file) and not os.path.exists(file)) or not is_listening(uri[len("unix:") :]))


def is_listening(path: str) -> bool:
    """Whether somebody takes connections at a socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(path) == 0


def run(work: t.Callable[[AnsibleModule, t.Any], Answer], options: dict[str, dict[str, t.Any]], predicts: bool = False, **more: t.Any) -> None:
    """A module: `work` returns what is given back. With `predicts` it gets no connection in check mode where there is no server yet."""
    module = AnsibleModule(argument_spec={**CONNECTION, **options}, supports_check_mode=True, **more)
    try:
        absent = predicts and module.check_mode and is_missing(module.params)
        answer = work(module, None if absent else api_of(module.params))
    except (ApiError, AccessError, DatabaseError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**answer)


def told(steps: t.Sequence[t.Any]) -> Answer:
    """C(changed), C(done) and C(diff) of steps."""
    lines = {side: "".join(f"{getattr(step, side)}\n" for step in steps if getattr(step, side)) for side in ("before", "after")}
    return {"changed": bool(steps), "done": [step.sentence for step in steps], "diff": lines}
