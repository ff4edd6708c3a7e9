# SPDX-License-Identifier: GPL-3.0-or-later
"""From direct to proxied in another bucket and folder; then to a directory; every artifact is read back, and an old value comes back on request."""

from __future__ import annotations

import json
import shlex

import pytest

MADE = "/opt/made.json"
PROXIED = ["site_s3_bucket=move-import-b", "tracking_server_s3_prefix=lab", "tracking_server_artifacts_mode=proxied"]
LOCAL = ["tracking_server_artifacts_mode=local"]
LOCATIONS = """
select artifact_uri from runs union select artifact_location from experiments union select artifact_location from logged_models
union select storage_location from model_versions where name in ('old', 'twice')
"""


@pytest.fixture(scope="module")
def site(host, people):
    """What people had made before."""
    if not host.file(MADE).exists:
        host.check_output(f"printf %s '{json.dumps(people('make', key=True))}' > {MADE}")
    return json.loads(host.file(MADE).content_string)


def locations(host) -> list[str]:
    found = host.check_output(f"printf %s {shlex.quote(LOCATIONS)} | runuser -u postgres -- psql -XAtq -d mlflowdb")
    return [line for line in found.split("\n") if line]


def check_all(site, people, audit) -> None:
    assert people("read", site["full"], "a.txt") == "a" * 1000
    assert people("files", site["full"]) == ["a.txt", "sub"]
    assert people("predict", "models:/twice/1") == ["abab"]
    assert people("trace", site["trace"]) == ["question"]
    assert people("files", site["empty"]) == []
    report = audit()
    assert report["missing"] == 0 and report["bucket"]["orphaned"]["objects"] == 0, report["samples"]


def test_a_dry_run_changes_nothing(site, host, play):
    before = locations(host)
    assert all(location.startswith("s3://move-import-a/") for location in before)
    done = play("playbooks/move_artifacts.yml", *PROXIED)
    assert done.returncode == 0 and "9 rows of runs.artifact_uri" in done.stdout, done.stdout[-3000:]
    assert "-e move_apply=true moves from s3://move-import-a" in " ".join(done.stdout.split())
    assert locations(host) == before


def test_from_direct_to_proxied_in_another_bucket(site, host, people, play, audit):
    done = play("playbooks/move_artifacts.yml", *PROXIED, "move_apply=true")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    print("\n".join(line for line in done.stdout.splitlines() if "switched:" in line or "copied:" in line))
    assert all(location.startswith("mlflow-artifacts:/") for location in locations(host))
    check_all(site, people, audit)
    assert audit()["root"] == "s3://move-import-b/lab"
    again = play("playbooks/move_artifacts.yml", *PROXIED, "move_apply=true")
    assert again.returncode == 0 and "nothing, MLflow works with s3://move-import-b/lab" in " ".join(again.stdout.split()), again.stdout[-3000:]


def test_the_models_own_file_names_the_new_place(site, host):
    command = "set -a; . /etc/labtrack/object_store/environment; exec /opt/labtrack/mlflow/main/current/bin/python -B -c "
    code = (
        "import sys; sys.path[:0] = ['/usr/local/lib/labtrack/artifacts']; from stores import s3_client; "
        f"print(s3_client().get_object(Bucket='move-import-b', Key='lab/1/models/{site['twice']['model']}/artifacts/MLmodel')['Body'].read().decode())"
    )
    assert "artifact_path: mlflow-artifacts:/1/models/" in host.check_output(f'bash -c "{command} \\"{code}\\""')


def test_the_old_values_can_come_back(host):
    """They are in the undo file, which is for MLflow on the old place."""
    undo = host.check_output("ls /var/lib/labtrack/retention/main/rewrite/ | grep undo | head -1")
    path = f"/var/lib/labtrack/retention/main/rewrite/{undo}"
    now = locations(host)
    host.check_output(f"labtrack-artifacts rewrite --keep --option undo={path}")
    assert all(location.startswith("s3://move-import-a/") for location in locations(host))
    options = 'source_root=\\"s3://move-import-a\\" source_proxied=false target_root=\\"s3://move-import-b/lab\\" target_proxied=true apply=true models=false'
    host.check_output("labtrack-artifacts rewrite --keep " + " ".join(f"--option '{word}'" for word in options.replace("\\", "").split()))
    assert locations(host) == now


def test_to_a_directory(site, host, people, play, audit):
    done = play("playbooks/move_artifacts.yml", *LOCAL, "move_apply=true", "move_verify=download")
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    check_all(site, people, audit)
    assert audit()["root"] == "/var/lib/labtrack/mlflow/main/artifacts"


def test_a_move_to_a_store_that_refuses_leaves_mlflow_as_it_was(site, people, play, audit):
    done = play("playbooks/move_artifacts.yml", "site_s3_bucket=move-import-c", "site_s3_secret_key=wrong", "move_apply=true")
    assert done.returncode == 2 and "changed=0" in done.stdout
    check_all(site, people, audit)
