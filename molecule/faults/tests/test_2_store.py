# SPDX-License-Identifier: GPL-3.0-or-later
"""The object store fails: runs, parameters and metrics go on, artifacts wait, and everybody reads why."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from testbed.faults import sentence_of, wait

UNIT = "labtrack-mlflow-main"
SENT = "echo 'show stat' | socat - /run/haproxy/admin.sock | grep '^s3,FRONTEND'"  # the ninth field: bytes that came in
KEY = "a-secret-key-of-the-test-site-0123456789"


@pytest.fixture
def fault(store):
    """What HAProxy does with requests from now on."""

    def choose(name: str) -> None:
        store.sh(f"printf 'fault {name}\\n' > /etc/haproxy/fault.map && systemctl restart haproxy")

    yield choose
    choose("none")


def admin(*arguments: str) -> str:
    """The store's operators."""
    done = subprocess.run(["docker", "exec", "labtrack-store", "radosgw-admin", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def explained(now, machine, *words: str, wanted: str = "503") -> None:
    """An artifact is refused with a sentence, which is in the journal, too; metrics go on."""
    text = now.failure("objects", wanted=wanted)
    sentence = sentence_of(text)
    for word in words:
        assert word in sentence, sentence
    now.works("metrics")
    assert sentence[:40] in machine.journal(UNIT, now.begun_at)
    now.says(f"503 and journal: {sentence}")


CHAIN = "add table inet faults; add chain inet faults x { type filter hook %s priority -10; }; add rule inet faults x tcp dport {7443, 8443, 9443} %s"


def test_the_store_refuses_connections(scene, machine):
    with scene("object store refuses connections") as now:
        machine.sh(f"nft '{CHAIN % ('output', 'reject with tcp reset')}'")
        try:
            explained(now, machine, "does not answer", wanted="refused")
        finally:
            machine.sh("nft delete table inet faults")
        now.over("store answers again")


def test_the_store_answers_503(scene, machine, fault):
    with scene("object store answers 503") as now:
        fault("503")
        explained(now, machine, "overloaded", "SlowDown", wanted="SlowDown")
        fault("none")
        now.over("store recovers")


def test_the_store_does_not_answer_at_all(scene, machine, store):
    with scene("network to the object store drops everything") as now:
        store.sh(f"nft '{CHAIN % ('input', 'drop')}'")
        try:
            explained(now, machine, "does not answer", wanted="503")
        finally:
            store.sh("nft delete table inet faults")
        now.over("network is back")


def test_the_store_is_slow(scene, fault, lab):
    with scene("object store is slow (64 kB/s)") as now:
        fault("slow")
        now.works("metrics")
        now.works("objects")
        calls = [line["time"] - line["begun"] for line in lab.since(now.begun_at, "metrics")]
        assert max(calls) < 20, "a slow store slows the database's requests"
        now.says("nothing: uploads take longer, the rest does not")
        fault("none")
        now.over("store is fast again")


def test_the_key_is_revoked(scene, machine):
    with scene("S3 key revoked") as now:
        admin("key", "rm", "--uid=labtrack-faults", "--key-type=s3", "--access-key=labtrack-faults")
        try:
            explained(now, machine, "refuses this server's key", "InvalidAccessKeyId", wanted="InvalidAccessKeyId")
        finally:
            admin("key", "create", "--uid=labtrack-faults", "--key-type=s3", "--access-key=labtrack-faults", f"--secret-key={KEY}")
        now.over("key is valid again")


def test_the_account_is_suspended(scene, machine):
    with scene("S3 account suspended (403)") as now:
        admin("user", "suspend", "--uid=labtrack-faults")
        try:
            explained(now, machine, "refuses this server's key", wanted="key")
        finally:
            admin("user", "enable", "--uid=labtrack-faults")
        now.over("account is enabled again")


def test_the_bucket_is_gone(scene, machine, play):
    with scene("bucket deleted") as now:
        admin("bucket", "link", "--bucket=faults-mlflow", "--uid=labtrack-faults", "--bucket-new-name=faults-elsewhere")
        try:
            explained(now, machine, "no longer exists", "NoSuchBucket", wanted="NoSuchBucket")
            refused = play("playbooks/check_site.yml")
            assert refused.returncode != 0
            assert "a new one would be empty, without any artifact" in " ".join(refused.stdout.split()), refused.stdout[-3000:]
            now.row.says += "; site.yml refuses to make an empty one"
        finally:
            admin("bucket", "link", "--bucket=faults-elsewhere", "--uid=labtrack-faults", "--bucket-new-name=faults-mlflow")
        now.over("the store's operators give it back")


def test_dns_is_gone(scene, machine):
    with scene("DNS gone") as now:
        # Docker's resolver is in resolv.conf; a machine that cannot reach its own reads the same error
        machine.sh("cp /etc/resolv.conf /run/resolv.conf.kept && echo 'nameserver 192.0.2.53' > /etc/resolv.conf && systemctl restart labtrack-mlflow-main")
        try:
            explained(now, machine, "not known to DNS", wanted="DNS")
        finally:
            machine.sh("cat /run/resolv.conf.kept > /etc/resolv.conf")
        now.over("DNS answers again")


def test_the_clock_is_wrong_by_a_day(scene, machine):
    """A container cannot set its clock: MLflow alone sees another one."""
    library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
    machine.sh("test -e " + library + " || apt-get install -qq -y --no-install-recommends libfaketime", 300)
    drop_in = f"/run/systemd/system/{UNIT}.service.d/clock.conf"
    with scene("clock off by a day") as now:
        machine.sh(
            f"mkdir -p $(dirname {drop_in}) && printf '[Service]\\nEnvironment=LD_PRELOAD={library} FAKETIME=+1d DONT_FAKE_MONOTONIC=1\\n' > {drop_in}"
            f" && systemctl daemon-reload && systemctl restart {UNIT}"
        )
        try:
            explained(now, machine, "clock", "RequestTimeTooSkewed", wanted="RequestTimeTooSkewed")
        finally:
            machine.sh(f"rm {drop_in} && systemctl daemon-reload && systemctl restart {UNIT}")
        now.over("clock is right again")


def test_the_network_is_cut_in_the_middle_of_an_upload(scene, fault, store, lab):
    place, content = lab.artifact_place(), os.urandom(6_000_000)
    with scene("network cut in the middle of an upload") as now, ThreadPoolExecutor(1) as pool:
        fault("slow")
        now.works("objects")  # no connection of before is used any more
        # a minute and a half at this speed
        upload = pool.submit(lab.put, f"{place}/cut.bin", content)
        wait(lambda: upload.done() or int(store.sh(SENT).split(",")[8]) > 1_000_000, 90, "a part of the file has arrived")
        assert not upload.done()
        store.sh("systemctl kill -s KILL haproxy")
        now.begun()
        fault("none")
        now.over("network is back")
        status, text = upload.result(120)
        assert status == 503, text
        now.says(f"503: {json.loads(text)['message']}")
    assert lab.status(f"{place}/cut.bin") == 404, "half of a file must not look like a file"
    assert lab.put(f"{place}/cut.bin", content)[0] == 200
    assert lab.get(f"{place}/cut.bin") == content
