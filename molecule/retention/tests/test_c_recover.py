# SPDX-License-Identifier: GPL-3.0-or-later
"""Deleted and overwritten artifacts come back from the bucket's versions. Goes on from test_b_gc."""

from __future__ import annotations

import re


def test_a_deleted_file_comes_back(site, people, play):
    run = site["full"]
    people("remove_file", run, "sub/b.txt")
    assert people("files", run) == ["a.txt"]
    dry = play("playbooks/recover_artifacts.yml", f"recover_run={run}")
    assert dry.returncode == 0 and "Would bring back" in dry.stdout and "sub/b.txt" in dry.stdout, dry.stdout[-3000:]
    assert people("files", run) == ["a.txt"]
    done = play("playbooks/recover_artifacts.yml", f"recover_run={run}", "recover_apply=true")
    assert done.returncode == 0 and re.search(r"changed=1 ", done.stdout), done.stdout[-3000:]
    assert people("read", run, "sub/b.txt") == "b"
    again = play("playbooks/recover_artifacts.yml", f"recover_run={run}", "recover_apply=true")
    assert re.search(r"changed=0 ", again.stdout)


def test_an_overwritten_file_comes_back_as_it_was(site, host, people, artifacts):
    run = site["full"]
    before = host.check_output("date -u +%FT%TZ")
    host.check_output("timeout 5 bash -c 'until [ $(date +%s) -gt $(($(date -d " + before + " +%s) + 1)) ]; do sleep 0.1; done'")  # S3 counts seconds
    people("overwrite", run, "a.txt", "spoilt")
    people("overwrite", run, "later.txt", "new")
    assert people("read", run, "a.txt") == "spoilt"
    assert artifacts("recover", kind="run", id=run)["objects"] == 0  # nothing is deleted
    report = artifacts("recover", kind="run", id=run, until=before, apply=True)
    assert [entry["was"] for entry in report["list"]] == ["overwritten"]
    assert people("read", run, "a.txt") == "a" * 1000
    assert people("files", run) == ["a.txt", "later.txt", "sub"]  # what came later stays


def test_a_removed_run_s_artifacts_come_back_by_their_prefix(site, artifacts):
    prefix = f"1/{site['gone'][1]}/"
    assert artifacts("recover", kind="run", id=site["gone"][1], status=1).strip().endswith("nothing is reported.")
    assert artifacts("recover", prefix=prefix, apply=True)["objects"] == 3
    assert artifacts("audit", grace_hours=0)["samples"]["orphans"][0]["prefix"] == prefix


def test_nothing_named_nothing_done(play):
    done = play("playbooks/recover_artifacts.yml")
    assert done.returncode == 2 and "one of them must be given" in " ".join(done.stdout.split())
    assert play("playbooks/recover_artifacts.yml", "recover_run=x", "recover_until=yesterday").returncode == 2
