# SPDX-License-Identifier: GPL-3.0-or-later
"""Print what every read API of the server says about an experiment, without ids, names of jobs, and times that only the server or the clock sets."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from typing import Any

import requests

URI, CA, LOGIN = "https://mlflow.hpc.test", "/etc/try/ca.pem", ("ada", "ada-likes-short-runs")
OURS = ("labtrack.spool.run_id", "labtrack.spool.model_id", "labtrack.spool.version")
JOBS = ("job.id", "job.cluster", "job.submit_dir")
TIMES = ("start_time", "end_time", "creation_time", "last_update_time", "creation_timestamp", "last_updated_timestamp", "creation_timestamp_ms")
TIMES += ("last_updated_timestamp_ms", "utc_time_created", "model_size_bytes", "model_uuid")
session = requests.Session()


def api(method: str, path: str, /, **content: Any) -> dict[str, Any]:
    """One call."""
    how = {"params": content} if method == "GET" else {"json": content}
    answer = session.request(method, f"{URI}/api/2.0/mlflow/{path}", auth=LOGIN, verify=CA, timeout=120, **how)
    assert answer.ok, (path, answer.text)
    return answer.json()


def files(path: str, base: str, prefix: str = "", /, **fields: str) -> dict[str, Any]:
    """Name, size and content of each file, as deep as they go; a model holds ids and times."""
    found: dict[str, Any] = {}
    for entry in api("GET", path, **fields, **({"path": prefix} if prefix else {})).get("files", []):
        name = entry["path"]
        if entry.get("is_dir"):
            found |= files(path, base, name, **fields)
            continue
        where = f"{URI}/api/2.0/mlflow-artifacts/artifacts/{base.removeprefix('mlflow-artifacts:/')}/{name}"
        content = session.get(where, auth=LOGIN, verify=CA, timeout=120).content
        same = not name.endswith(("MLmodel", ".pkl", "registered_model_meta"))
        found[name] = [entry.get("file_size"), hashlib.sha256(content).hexdigest()] if same else "there"
    return found


def history(run: str, key: str) -> list[Any]:
    """Every point, page by page."""
    found, token = [], ""
    while True:
        answer = api("GET", "metrics/get-history", run_id=run, metric_key=key, max_results=1000, **({"page_token": token} if token else {}))
        found += answer["metrics"]
        token = answer.get("next_page_token", "")
        if not token:
            return sorted(found, key=repr)


def read(name: str) -> dict[str, Any]:
    """Everything."""
    experiment = api("GET", "experiments/get-by-name", experiment_name=name)["experiment"]
    number = experiment["experiment_id"]
    runs = api("POST", "runs/search", experiment_ids=[number], run_view_type="ALL")["runs"]
    models = api("POST", "logged-models/search", experiment_ids=[number]).get("models", [])
    # a run without a name of its own has that of the job
    label = {run["info"]["run_id"]: re.sub(r"^\d+$", "of the job", run["info"]["run_name"]) for run in runs}
    found: dict[str, Any] = {"experiment": api("GET", "experiments/get", experiment_id=number)["experiment"], "by name": experiment, "runs": {}, "models": {}}
    for run in runs:
        identity = run["info"]["run_id"]
        keys = [metric["key"] for metric in run["data"].get("metrics", [])]
        found["runs"][label[identity]] = {
            "search": run,
            "get": api("GET", "runs/get", run_id=identity),
            "history": {key: history(identity, key) for key in keys},
            "files": files("artifacts/list", run["info"]["artifact_uri"], run_id=identity),
        }
    for model in models:
        info = model["info"]
        found["models"][info["name"]] = {
            "get": api("GET", f"logged-models/{info['model_id']}"),
            "files": files(f"logged-models/{info['model_id']}/artifacts/directories", info["artifact_uri"]),
        }
    found["registered"] = api("GET", "registered-models/get", name=name)
    found["versions"] = api("GET", "model-versions/search", filter=f"name = '{name}'")
    found["latest"] = api("POST", "registered-models/get-latest-versions", name=name)
    names = {identity: f"<run {text}>" for identity, text in label.items()}
    names |= {model["info"]["model_id"]: "<model>" for model in models}
    return plain(found, names, name, number)


def plain(value: Any, names: dict[str, str], name: str, number: str, key: str = "") -> Any:
    """Without what must differ."""
    if isinstance(value, dict):
        tag = value.get("key")
        if tag in JOBS or (tag == "mlflow.runName" and value["value"].isdigit()):
            return {"key": tag}
        if tag == "mlflow.modelVersions":  # the client, when it is online, notes the version a second time, as text
            return sorted({f"{entry['name'].replace(name, '<name>')} {entry['version']}" for entry in json.loads(value["value"])})
        found = {each: plain(item, names, name, number, each) for each, item in value.items() if each not in TIMES}
        return {each: item for each, item in found.items() if item != []}  # where our tag was the only one
    if isinstance(value, list):
        items = [item for item in value if not (isinstance(item, dict) and item.get("key") in OURS)]
        return sorted((plain(item, names, name, number, key) for item in items), key=repr)
    if not isinstance(value, str):
        return value
    if key == "experiment_id":
        return "<experiment>"
    if key == "run_name" and value.isdigit():
        return "of the job"
    if value.startswith(("{", "[")):
        try:
            return plain(json.loads(value), names, name, number)
        except ValueError:
            pass
    for identity, text in names.items():
        value = value.replace(identity, text)
    return "<name>" if value == name else re.sub(rf"^mlflow-artifacts:/{number}\b", "mlflow-artifacts:/<experiment>", value)


if __name__ == "__main__":
    print(json.dumps(read(sys.argv[1]), sort_keys=True, indent=1))
