# SPDX-License-Identifier: GPL-3.0-or-later
"""A plain user who wants more: what belongs to others, the rights of the server, the rights of an administrator."""

from __future__ import annotations

import json
import secrets

import pytest
from attacked import API, API3, ARTIFACTS, BUCKET, new_person

REFUSED = (400, 401, 403, 404, 405, 421)


def writes(alice) -> list[tuple[str, str, dict | bytes]]:
    run, experiment, trace = {"run_id": alice.run}, {"experiment_id": alice.experiment}, alice.trace
    feedback = {"assessment": {"assessment_name": "x", "trace_id": trace, "source": {"source_type": "HUMAN", "source_id": "x"}, "feedback": {"value": 1}}}
    return [
        ("POST", f"{API}runs/log-metric", {**run, "key": "k", "value": 1, "timestamp": 1}),
        ("POST", f"{API}runs/log-metric", {"run_uuid": alice.run, "run_id": "", "key": "k", "value": 1, "timestamp": 1}),
        ("POST", f"{API}runs/log-parameter", {**run, "key": "k", "value": "1"}),
        ("POST", f"{API}runs/log-batch", {**run, "metrics": []}),
        ("POST", f"{API}runs/set-tag", {**run, "key": "k", "value": "v"}),
        ("POST", f"{API}runs/delete-tag", {**run, "key": "mlflow.runName"}),
        ("POST", f"{API}runs/update", {**run, "status": "FAILED"}),
        ("POST", f"{API}runs/delete", run),
        ("POST", f"{API}runs/log-model", {**run, "model_json": "{}"}),
        ("POST", f"{API}runs/log-inputs", run),
        ("POST", f"{API}runs/outputs", run),
        ("POST", f"{API}runs/create", experiment),
        ("POST", f"{API}experiments/update", {**experiment, "new_name": "x"}),
        ("POST", f"{API}experiments/delete", experiment),
        ("POST", f"{API}experiments/set-experiment-tag", {**experiment, "key": "k", "value": "v"}),
        ("POST", f"{API}logged-models", {**experiment, "name": "x"}),
        ("PUT", f"{ARTIFACTS}{alice.folder}/x.txt", b"evil"),
        ("PUT", f"/ajax-api/2.0/mlflow-artifacts/artifacts/{alice.folder}/x.txt", b"evil"),
        ("PUT", f"{ARTIFACTS}%{ord(alice.folder[0]):x}{alice.folder[1:]}/x.txt", b"evil"),
        ("PUT", f"{ARTIFACTS}evil.txt", b"evil"),
        ("PUT", f"{ARTIFACTS}.labtrack/site.json", b"{}"),
        ("DELETE", f"{ARTIFACTS}{alice.folder}/x.txt", {}),
        ("DELETE", f"{ARTIFACTS}.labtrack/site.json", {}),
        ("POST", f"/api/2.0/mlflow-artifacts/mpu/create/{alice.folder}/x.txt", {"path": "x.txt", "num_parts": 1}),
        ("POST", f"/api/2.0/mlflow-artifacts/mpu/abort/{alice.folder}/x.txt", {"path": "x.txt", "upload_id": "x"}),
        ("POST", f"/ajax-api/2.0/mlflow/upload-artifact?path=x.txt&run_uuid={alice.run}", b"evil"),
        ("POST", f"{API3}traces/delete-traces", {**experiment, "request_ids": [trace]}),
        ("PATCH", f"{API3}traces/{trace}/tags", {"key": "k", "value": "v"}),
        ("POST", f"{API3}traces/{trace}/assessments", feedback),
    ]


def test_nobody_writes_into_what_belongs_to_others(alice, mallory, table):
    tried = writes(alice)
    allowed = [(method, path) for method, path, body in tried if mallory.ask(method, path, body)[0] not in REFUSED]
    assert not allowed
    run = json.loads(alice.ask("GET", f"{API}runs/get?run_id={alice.run}")[1])["run"]
    assert (run["info"]["status"], run["data"].get("metrics")) == ("RUNNING", None)
    assert alice.ask("GET", f"{ARTIFACTS}{alice.folder}/x.txt") == (200, alice.secret)
    assert alice.ask("GET", f"{API3}traces/{alice.trace}")[0] == 200
    table(f"plain user: {len(tried)} ways to change or delete another's run, artifact, trace", "all refused, nothing changed")


def reads(alice, mallory) -> list[str]:
    run, mine, folder = alice.run, mallory.run, alice.folder
    up = "../" * 3
    return [
        f"{API}runs/get?run_id={run}",
        f"{API}artifacts/list?run_id={run}",
        f"{API}metrics/get-history?run_id={run}&metric_key=k",
        f"{API}metrics/get-history-bulk-interval?run_ids={run}&metric_key=k&max_results=5",
        f"/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={run}&metric_key=k",
        f"{ARTIFACTS}{folder}/x.txt",
        f"{ARTIFACTS}%{ord(folder[0]):x}{folder[1:]}/x.txt",
        f"{ARTIFACTS}{folder.replace('/', '//', 1)}/x.txt",
        f"{ARTIFACTS}{mallory.folder}/{up}{folder}/x.txt",
        f"{ARTIFACTS}{mallory.folder}/..%2f..%2f..%2f{folder}/x.txt",
        f"{ARTIFACTS}{mallory.folder}/%252e%252e/%252e%252e/%252e%252e/{folder}/x.txt",
        f"{ARTIFACTS}{mallory.folder}/..%5c..%5c..%5c{folder}/x.txt",
        f"{ARTIFACTS[:-1]}?path={folder}",
        f"{ARTIFACTS[:-1]}?path={mallory.folder}/{up}{folder}",
        f"{ARTIFACTS[:-1]}?path=%252e%252e/{folder}",
        f"/get-artifact?path=x.txt&run_uuid={run}",
        f"/get-artifact?path=x.txt&run_uuid={mine}&run_id={run}",
        f"/get-artifact?path=x.txt&run_uuid={run}&run_id={mine}",
        f"/get-artifact?path=x.txt&run_id={mine}&run_id={run}",
        f"/get-artifact?path={up}{folder}/x.txt&run_uuid={mine}",
        f"/get-artifact?path=%252e%252e/%252e%252e/%252e%252e/{folder}/x.txt&run_uuid={mine}",
        f"/get-artifact?path=/etc/passwd&run_uuid={mine}",
        f"/get-artifact?path=file:///etc/passwd&run_uuid={mine}",
        f"/get-artifact?path=x.txt%00&run_uuid={mine}",
        f"/get-artifact?path=..%5c..%5cx.txt&run_uuid={mine}",
        f"/api/2.0/mlflow-artifacts/presigned/{folder}/x.txt",
        f"{API3}traces/{alice.trace}",
        f"{API3}traces/batchGet?trace_ids={alice.trace}",
        f"/ajax-api/3.0/mlflow/get-trace-artifact?request_id={alice.trace}",
    ]


def test_who_is_denied_reads_nothing(alice, mallory, table):
    paths = reads(alice, mallory)
    seen = []
    for path in paths:
        status, body = mallory.ask("GET", path)
        # MLflow answers 500 for some names that a store does not have: that tells nothing either
        own = body == mallory.secret
        if (status == 200 and not own) or alice.secret in body or b"root:" in body or alice.run.encode() in body.replace(path.encode(), b""):
            seen.append((path, status, body[:100]))
    for query in ("mlflowGetRun(input:$d){run{info{runId}}}", "mlflowListArtifacts(input:$d){files{path}}"):
        kind = query.partition("(")[0]
        kind = kind[0].upper() + kind[1:] + "Input"
        body = {"query": f"query Q($d: {kind}!){{{query}}}", "variables": {"d": {"runId": alice.run}}}
        _status, answer = mallory.ask("POST", "/graphql", body)
        if b"x.txt" in answer or alice.run.encode() in answer:
            seen.append(("graphql", query, answer[:100]))
    _status, answer = mallory.ask("POST", f"{API}runs/search", {"experiment_ids": [alice.experiment]})
    assert alice.run.encode() not in answer
    assert not seen
    table(f"plain user with DENY: {len(paths) + 3} ways to read another's run, artifact, trace (.., %2e, %252e, \\, NUL, absolute)", "nothing is read")


LOCATIONS = [
    "file:///etc",
    "/etc",
    "file:///proc/self",
    "file://localhost/var/lib/labtrack/mlflow/main/keys",
    "../../etc",
    "http://169.254.169.254/latest",
    "ftp://127.0.0.1/x",
    "s3://another-bucket/x",
    "s3:///x",
    "gs://x/y",
    "wasbs://x@y.blob.core.windows.net/z",
    "dbfs:/x",
    "hdfs://127.0.0.1/x",
    "mlflow-artifacts:/",
    "mlflow-artifacts://evil.example/1",
    "models:/x/1",
]


def test_nobody_chooses_where_an_experiment_lies(site, alice, mallory, table):
    bucket = f"s3://{BUCKET}/{alice.folder}"
    tried = [*LOCATIONS, bucket, bucket.replace("/artifacts", "/%61rtifacts"), f"mlflow-artifacts:/{alice.folder}"]
    accepted = []
    for location in tried:
        for key in ("artifact_location", "artifactLocation"):
            status, _body = mallory.ask("POST", f"{API}experiments/create", {"name": secrets.token_hex(6), key: location})
            if status not in REFUSED:
                accepted.append((key, location))
    assert not accepted
    table(f"plain user: {len(tried)} artifact locations (local files, metadata service, other buckets, another's folder)", "400")


def test_nobody_registers_what_is_not_theirs(alice, mallory, table):
    name = f"model-{secrets.token_hex(4)}"
    mallory.made(f"{API}registered-models/create", {"name": name})
    bucket = f"s3://{BUCKET}/{alice.folder}"
    sources = [{"source": source} for source in [*LOCATIONS, bucket, f"mlflow-artifacts:/{alice.folder}"]]
    sources += [
        {"source": bucket, "run_id": mallory.run},
        {"source": f"mlflow-artifacts:/{alice.folder}", "run_id": mallory.run},
        {"source": f"mlflow-artifacts:/{alice.folder}", "run_id": alice.run},
        {"source": f"runs:/{alice.run}/", "run_id": alice.run},
        {"source": f"mlflow-artifacts:/{mallory.folder}/../../../{alice.folder}", "run_id": mallory.run},
    ]
    accepted = []
    for body in sources:
        status, answer = mallory.ask("POST", f"{API}model-versions/create", {"name": name, **body})
        if status not in REFUSED:
            version = json.loads(answer).get("model_version", {}).get("version")
            got = mallory.ask("GET", f"/model-versions/get-artifact?name={name}&version={version}&path=x.txt")
            accepted.append((body, status, got))
    assert not accepted
    own = {"name": name, "source": f"mlflow-artifacts:/{mallory.folder}", "run_id": mallory.run}
    assert mallory.ask("POST", f"{API}model-versions/create", own)[0] == 200, "what is one's own can be registered"
    assert mallory.ask("GET", f"/model-versions/get-artifact?name={name}&version=1&path=x.txt") == (200, mallory.secret)
    table(f"plain user: {len(sources)} sources of a model version (another's folder by s3://, local files, other buckets)", "refused; one's own works")


@pytest.mark.parametrize("key", ["mlflow.artifactLocation", "mlflow.trace.archiveLocation", "mlflow.trace.spansLocation"])
def test_nobody_points_a_trace_elsewhere(alice, mallory, table, key):
    value = "ARCHIVE_REPO" if "spans" in key else f"s3://{BUCKET}/{alice.folder}"
    assert mallory.ask("PATCH", f"{API3}traces/{mallory.trace}/tags", {"key": key, "value": value})[0] in REFUSED
    assert mallory.ask("PATCH", f"{API}traces/{mallory.trace}/tags", {"key": key, "value": value})[0] in REFUSED
    trace = f"tr-{secrets.token_hex(16)}"
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": mallory.experiment}}
    info = {"trace_id": trace, "trace_location": place, "request_time": "2026-01-01T00:00:00Z", "state": "OK", "tags": {key: value}, "trace_metadata": {}}
    mallory.ask("POST", f"{API3}traces", {"trace": {"trace_info": info}})
    status, body = mallory.ask("GET", f"{API3}traces/{trace}")
    assert value.encode() not in body, "the tag of the client is dropped"
    table(f"plain user: tag {key} of a trace", f"400; in a new trace dropped ({status})")


def test_nobody_becomes_an_administrator(site, alice, mallory, table):
    me = {"username": mallory.name}
    tried = [
        ("PATCH", f"{API}users/update-admin", {**me, "is_admin": True}),
        ("PATCH", f"/ajax-api/2.0/mlflow/users/update-admin?username={mallory.name}", {**me, "is_admin": True}),
        ("POST", f"{API}users/create", {"username": "second", "password": "second-second-second"}),
        ("POST", f"{API}users/create-ui", b"username=second&password=second-second-second"),
        ("PATCH", f"{API}users/update-password", {"username": site.user, "password": "mallory-mallory-1"}),
        ("PATCH", f"{API}users/update-password?username={mallory.name}", {"username": site.user, "password": "mallory-mallory-1"}),
        ("PATCH", f"{API}users/update-password", {**me, "password": "mallory-mallory-1"}),
        ("DELETE", f"{API}users/delete", {"username": alice.name}),
        ("GET", f"{API}users/get?username={alice.name}", None),
        ("POST", f"{API3}users/permissions/grant", {**me, "resource_type": "experiment", "resource_id": alice.experiment, "permission": "MANAGE"}),
        ("POST", f"{API3}users/permissions/revoke", {**me, "resource_type": "experiment", "resource_id": alice.experiment, "permission": "DENY"}),
        ("POST", f"{API3}roles/create", {"name": "r", "workspace": "default"}),
        ("POST", f"{API3}roles/assign", {**me, "role_id": 1}),
        ("POST", "/ajax-api/3.0/mlflow/workspaces", {"name": "w"}),
        ("POST", "/ajax-api/3.0/mlflow/demo/delete", {}),
        ("GET", "/signup", None),
        ("GET", f"{API}webhooks", None),
        ("POST", "/ajax-api/3.0/jobs", {"function_fullname": "os.system", "params": {}}),
        ("GET", "/ajax-api/3.0/jobs/x", None),
        ("POST", "/ajax-api/3.0/mlflow/scorer/invoke", {"experiment_id": alice.experiment}),
        ("POST", "/ajax-api/3.0/mlflow/assistant/message", {"message": "x"}),
        ("PUT", "/ajax-api/3.0/mlflow/assistant/config", {}),
        ("POST", "/ajax-api/2.0mlflow/experiments/search-datasets", {"experiment_ids": [alice.experiment]}),
        ("GET", "/metrics", None),
        ("GET", "/openapi.json", None),
    ]
    allowed = [(method, path) for method, path, body in tried if mallory.ask(method, path, body)[0] not in REFUSED]
    assert not allowed
    assert json.loads(mallory.ask("GET", f"{API}users/current")[1])["user"]["is_admin"] is False
    table(f"plain user: {len(tried)} ways to an administrator's rights, to jobs, webhooks, the assistant", "refused")


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:7443/", "https://localhost/", "https://[::1]/", "https://169.254.169.254/", "https://2130706433/", "http://x.org/"]
)
def test_nobody_makes_the_server_call_inside(admin, mallory, table, url):
    hook = {"name": secrets.token_hex(4), "url": url, "events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}]}
    assert admin.ask("POST", f"{API}webhooks", hook)[0] == 400, "not even an administrator"
    secret = {"secret_name": secrets.token_hex(4), "secret_value": {"api_key": "k"}, "provider": "openai", "auth_config": {"api_base": url}}
    status, body = mallory.ask("POST", f"{API3}gateway/secrets/create", secret)
    assert status == 400, body
    proxy = mallory.ask("POST", "/ajax-api/2.0/mlflow/gateway-proxy", {"gateway_path": url, "json_data": {}})
    assert proxy[1].strip() in (b'{"endpoints":[]}', b'{"endpoints": []}') or proxy[0] in REFUSED
    table(f"webhook, model provider, gateway proxy at {url}", "400; the proxy has no target")


def test_a_removed_person_is_out_at_once_in_every_worker(site, admin, table):
    person = new_person(site, admin, "leaver")
    paths = [f"{API}experiments/search?max_results=1"] * 12 + [f"{API3}traces/{person.trace}"] * 4
    assert {person.ask("GET", path)[0] for path in paths} == {200}
    assert admin.ask("DELETE", f"{API}users/delete", {"username": person.name})[0] == 200
    assert {person.ask("GET", path)[0] for path in paths} == {401}
    table("a removed person goes on with a remembered password, 16 requests to all workers", "401, all")
