# SPDX-License-Identifier: GPL-3.0-or-later
"""The same job, online and through a spool: every read API of the two servers gives the same, ids and server times apart."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

import mlflow
import pytest
import requests

from .conftest import LOGIN
from .helpers import activate, cli, leave, use

OUR_TAGS = ("labtrack.spool.run_id", "labtrack.spool.model_id", "labtrack.spool.version")
# Times that only the server sets, at the moment when it hears of something: no API takes them.
SERVER_TIMES = ("creation_time", "last_update_time", "creation_timestamp", "last_updated_timestamp", "creation_timestamp_ms", "last_updated_timestamp_ms")
# What depends on when the job ran: replaced by the order.
OWN_TIMES = ("start_time", "end_time", "timestamp", "request_time", "execution_duration", "create_time", "last_update_time", "utc_time_created")


class Model(mlflow.pyfunc.PythonModel):
    """Gives back what it gets."""

    def predict(self, context, model_input: list[str], params=None) -> list[str]:
        return model_input


def fail() -> None:
    """A run that ends with an error."""
    with mlflow.start_run(run_name="failed"):
        mlflow.log_metric("loss", 9.0, timestamp=1_700_000_000_006)
        raise RuntimeError


def job(folder: Path) -> None:
    """Everything that MLflow can log, through its fluent interface."""
    import pandas

    client = mlflow.MlflowClient()
    mlflow.set_experiment("equal")
    mlflow.set_experiment_tag("team", "blue")
    with mlflow.start_run(run_name="parent", description="a note", tags={"mine": "ü ∑"}) as parent:
        mlflow.log_params({"rate": 0.1, "long": "x" * 5000, **{f"p{number}": number for number in range(120)}})
        for step in range(50):
            mlflow.log_metric("loss", 1 / (step + 1), step=step, timestamp=1_700_000_000_000 + step)
        mlflow.log_metrics({"train/acc": 0.5, "a b.c-d": -1.5}, step=7, timestamp=1_700_000_000_001)
        for step, value in enumerate((float("nan"), float("inf"), float("-inf"), 1e-300, float("nan"))):
            mlflow.log_metric("odd", value, step=step, timestamp=1_700_000_000_002)
        mlflow.log_metric("same step", 1.0, step=3, timestamp=1_700_000_000_003)
        mlflow.log_metric("same step", 2.0, step=3, timestamp=1_700_000_000_003)
        mlflow.log_text("hello", "texts/hello ü.txt")
        mlflow.log_dict({"a": [1, 2]}, "a.json")
        (folder / "empty").touch()
        mlflow.log_artifact(str(folder / "empty"), "deep/er")
        dataset = mlflow.data.from_pandas(pandas.DataFrame({"x": [1.0, 2.0]}), name="data")
        mlflow.log_input(dataset, context="training", tags={"split": "a"})
        how = {"registered_model_name": "equal model", "params": {"depth": 3}, "step": 4, "pip_requirements": ["x"]}
        model = mlflow.pyfunc.log_model(name="model", python_model=Model(), **how)
        mlflow.log_metric("accuracy", 0.75, step=4, timestamp=1_700_000_000_004, model_id=model.model_id, dataset=dataset)
        mlflow.set_logged_model_tags(model.model_id, {"quality": "good"})
        with mlflow.start_run(run_name="child", nested=True):
            mlflow.log_metric("loss", 3.0, timestamp=1_700_000_000_005)
            mlflow.log_input(dataset, context="testing", model=None)

        @mlflow.trace(attributes={"k": {"deep": [1, 2.5, None, True, "t"]}})
        def outer(question: str) -> str:
            with mlflow.start_span("inner", span_type="TOOL") as span:
                span.set_inputs({"question": question})
                span.set_attribute("mlflow.chat.tokenUsage", {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12})
                span.add_event(mlflow.entities.SpanEvent("event", attributes={"n": 1}))
            return question.upper()

        outer("why ü")
        mlflow.flush_trace_async_logging()
        trace = mlflow.get_last_active_trace_id()
        mlflow.set_trace_tag(trace, "kind", "first")
        mlflow.log_feedback(trace_id=trace, name="helpful", value=True, rationale="it is", source=mlflow.entities.AssessmentSource("HUMAN", "ada"))
        mlflow.log_feedback(trace_id=trace, name="score", value=0.25, metadata={"a": "b"})
        mlflow.log_expectation(trace_id=trace, name="answer", value={"text": "WHY"})
    with pytest.raises(RuntimeError):
        fail()
    deleted = client.create_run(parent.info.experiment_id, run_name="deleted", start_time=1_700_000_000_000)
    client.log_metric(deleted.info.run_id, "loss", 5.0, timestamp=1_700_000_000_007)
    client.delete_run(deleted.info.run_id)
    client.create_run(parent.info.experiment_id, run_name="never ended", start_time=1_700_000_000_000)
    client.update_registered_model("equal model", "a description")
    client.set_registered_model_tag("equal model", "area", "climate")
    client.set_model_version_tag("equal model", "1", "checked", "yes")
    client.update_model_version("equal model", "1", "version one")
    client.set_registered_model_alias("equal model", "champion", "1")
    client.create_model_version("equal model", f"runs:/{parent.info.run_id}/texts", parent.info.run_id)
    mlflow.register_prompt("equal-prompt", "Say {{ word }}", tags={"for": "all"})


class Reader:
    """Reads everything through REST, and replaces what must differ."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.names: dict[str, str] = {}

    def api(self, method: str, path: str, version: str = "2.0", /, **content: Any) -> dict[str, Any]:
        """One call."""
        how = {"params": content} if method == "GET" else {"json": content}
        answer = requests.request(method, f"{self.uri}/api/{version}/mlflow/{path}", auth=LOGIN, timeout=60, **how)
        assert answer.ok, (path, content, answer.text)
        return answer.json()

    def all(self) -> dict[str, Any]:
        """Every read API about the job's experiment."""
        experiment = self.api("GET", "experiments/get-by-name", experiment_name="equal")["experiment"]
        identity = experiment["experiment_id"]
        found: dict[str, Any] = {"experiment": experiment, "runs": {}}
        runs = self.api("POST", "runs/search", experiment_ids=[identity], run_view_type="ALL", max_results=100)["runs"]
        for run in sorted(runs, key=lambda run: run["info"]["run_name"]):
            self.names[run["info"]["run_id"]] = f"<run {run['info']['run_name']}>"
        models = self.api("POST", "logged-models/search", experiment_ids=[identity]).get("models", [])
        self.names |= {model["info"]["model_id"]: f"<model {model['info']['name']}>" for model in models}
        for run in runs:
            run_id, name = run["info"]["run_id"], run["info"]["run_name"]
            keys = [metric["key"] for metric in run["data"].get("metrics", [])]
            history = {key: self.api("GET", "metrics/get-history", run_id=run_id, metric_key=key)["metrics"] for key in keys}
            found["runs"][name] = {
                "search": run,
                "get": self.api("GET", "runs/get", run_id=run_id)["run"],
                "history": {key: sorted(points, key=repr) for key, points in history.items()},
                "bulk": {key: self.bulk(run_id, key) for key in keys},
                "artifacts": self.artifacts("artifacts/list", run_id=run_id),
                "inputs": self.page("experiments/search-datasets", {"experiment_ids": [identity]}),
                "get_root": self.api("GET", "runs/get", run_uuid=run_id)["run"]["info"]["status"],
            }
        found["models"] = {
            model["info"]["name"]: {
                "search": model,
                "get": self.api("GET", f"logged-models/{model['info']['model_id']}"),
                "files": self.artifacts(f"logged-models/{model['info']['model_id']}/artifacts/directories"),
                "content": self.mlmodel(model["info"]["artifact_uri"]),
            }
            for model in models
        }
        for name in ("equal model", "equal-prompt"):
            found[name] = self.api("GET", "registered-models/get", name=name)
            condition = f"name = '{name}'" + (" AND tags.`mlflow.prompt.is_prompt` = 'true'" if name == "equal-prompt" else "")
            versions = self.api("GET", "model-versions/search", filter=condition)["model_versions"]
            found[f"{name} versions"] = sorted(versions, key=lambda version: int(version["version"]))
            found[f"{name} latest"] = self.api("POST", "registered-models/get-latest-versions", name=name)
            found[f"{name} uri"] = self.api("GET", "model-versions/get-download-uri", name=name, version="1")
        found["alias"] = self.api("GET", "registered-models/alias", name="equal model", alias="champion")
        locations = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": identity}}]
        traces = self.api("POST", "traces/search", "3.0", locations=locations, max_results=10)["traces"]
        for trace in traces:
            self.names[trace["trace_id"]] = "<trace>"
            self.names[trace["trace_id"].removeprefix("tr-")] = "<otel trace>"
        found["traces"] = traces
        found["trace"] = [self.api("GET", f"traces/{trace['trace_id']}", "3.0") for trace in traces]
        found["spans"] = [self.api("GET", "traces/get", "3.0", trace_id=trace["trace_id"]) for trace in traces]
        return self.plain(found)

    def bulk(self, run_id: str, key: str) -> Any:
        """The history as the web pages ask for it."""
        address = f"{self.uri}/ajax-api/2.0/mlflow/metrics/get-history-bulk"
        answer = requests.get(address, params={"run_id": [run_id], "metric_key": key, "max_results": 1000}, auth=LOGIN, timeout=60)
        assert answer.ok, answer.text
        return sorted(answer.json()["metrics"], key=repr)

    def page(self, path: str, content: dict[str, Any]) -> Any:
        """A question that only the web pages ask."""
        answer = requests.post(f"{self.uri}/ajax-api/2.0/mlflow/{path}", json=content, auth=LOGIN, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def artifacts(self, path: str, prefix: str = "", /, **fields: str) -> dict[str, Any]:
        """Names and sizes, as deep as they go."""
        found = {}
        for entry in self.api("GET", path, **fields, **({"path": prefix} if prefix else {})).get("files", []):
            if entry.get("is_dir"):
                found |= self.artifacts(path, entry["path"], **fields)
            else:
                found[entry["path"]] = entry.get("file_size", "0") if not entry["path"].endswith(("MLmodel", ".pkl")) else "any"
        return found

    def mlmodel(self, uri: str) -> list[str]:
        """Lines of a model's description that speak of ids."""
        path = uri.removeprefix("mlflow-artifacts:/")
        answer = requests.get(f"{self.uri}/api/2.0/mlflow-artifacts/artifacts/{path}/MLmodel", auth=LOGIN, timeout=60)
        return [line for line in answer.text.splitlines() if line.startswith(("model_id", "run_id", "model_uuid"))]

    def plain(self, value: Any, key: str = "") -> Any:
        """Without ids, addresses and times."""
        if isinstance(value, dict):
            if value.get("key") == "mlflow.modelVersions":
                return {"key": value["key"], "value": self.versions(value["value"])}
            found = {name: self.plain(item, name) for name, item in value.items() if name not in SERVER_TIMES}
            return {name: item for name, item in found.items() if item is not None}
        if isinstance(value, list):
            items = [item for item in value if not (isinstance(item, dict) and item.get("key") in OUR_TAGS)]
            items = [self.plain(item, key) for item in items]
            if key == "dataset_summaries":
                return sorted(items, key=repr)
            if value and not items:
                return None
            return sorted(items, key=repr) if items and isinstance(items[0], dict) and {"key", "value"} <= set(items[0]) and key != "history" else items
        if isinstance(value, str):
            return self.text(value, key)
        if isinstance(value, float) and value != value:
            return "NaN"
        if isinstance(value, (int, float)) and key in OWN_TIMES and value > 1_790_000_000_000:
            return "<now>"
        return value

    def versions(self, value: str) -> list[str]:
        """MLflow's client, when it is online, notes the version that the server has noted already a second time, as text."""
        return sorted({f"{entry['name']} {entry['version']}" for entry in json.loads(value)})

    def text(self, value: str, key: str) -> Any:
        """A text without ids; JSON in it is looked into."""
        if key in OWN_TIMES:
            return "<now>" if not value.startswith("17000000") else value
        if value.startswith(("{", "[")):
            try:
                return self.plain(json.loads(value), key)
            except ValueError:
                pass
        if key == "trace_id" and not value.startswith("tr-"):
            value = base64.b64decode(value).hex()
        for identity, name in self.names.items():
            value = value.replace(identity, name)
        return re.sub(r"mlflow-artifacts:/\d+/", "mlflow-artifacts:/<experiment>/", value)


# Named fields that hold random or machine-made values of their own in each run of the job
RANDOM = ("assessment_id", "span_id", "parent_span_id", "start_time_unix_nano", "end_time_unix_nano", "time_unix_nano", "experiment_id", "artifact_location")


def without_random(value: Any) -> Any:
    """Without values that two runs of one job never share."""
    if isinstance(value, dict):
        if value.get("key") in ("mlflow.trace.sizeStats", "mlflow.trace.sizeBytes", "mlflow.traceRequestId"):
            return {"key": value["key"]}
        pairs = {key: without_random(item) for key, item in value.items() if key not in RANDOM}
        return {key: item for key, item in pairs.items() if key not in ("mlflow.trace.sizeStats", "mlflow.trace.sizeBytes", "model_size_bytes", "dataset_uuid")}
    return [without_random(item) for item in value] if isinstance(value, list) else value


def differences(one: Any, two: Any, path: str = "") -> list[str]:
    """Where two answers differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        keys = sorted(set(one) | set(two))
        return [line for key in keys for line in differences(one.get(key, "<missing>"), two.get(key, "<missing>"), f"{path}/{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return [line for number, (left, right) in enumerate(zip(one, two)) for line in differences(left, right, f"{path}[{number}]")]
    return [] if one == two else [f"{path}: online {str(one)[:300]!r}, synced {str(two)[:300]!r}"]


def test_what_the_synced_server_answers_equals_the_online_one(servers, server, tmp_path: Path) -> None:
    online, synced = servers
    use(online.uri)
    job(tmp_path)
    activate(tmp_path / "spool")
    job(tmp_path)
    leave()
    cli("sync", tmp_path / "spool", "--to", synced.uri, "--verify")
    expected, found = (without_random(Reader(each.uri).all()) for each in (online, synced))
    assert len(expected["runs"]) == 5
    assert not differences(expected, found), "\n".join(differences(expected, found))
    # a second time, from another place and without its state: nothing new
    cli("sync", tmp_path / "spool", "--to", synced.uri)
    again = cli("sync", tmp_path / "spool", "--to", synced.uri, "--state-dir", tmp_path / "lost", "--json")
    assert not json.loads(again.stdout)["problems"]
    assert not differences(found, without_random(Reader(synced.uri).all()))
    loaded = use(synced.uri) and mlflow.pyfunc.load_model("models:/equal model@champion")
    assert loaded.predict(["a"]) == ["a"]
