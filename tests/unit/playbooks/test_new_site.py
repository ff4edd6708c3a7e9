# SPDX-License-Identifier: GPL-3.0-or-later
"""new_site.yml: what it writes can be read by Ansible, its secrets are encrypted, and bad answers write nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(sys.executable).parent
GOOD = {"new_site_name": "genomics", "new_site_fqdn": "mlflow.lab.example", "new_site_admin_cidrs": "192.0.2.0/24, 2001:db8::/32"}
SECRETS = {"new_site_s3_secret_key": "s3-secret-{{-canary-'1", "new_site_database_password": 'database {# canary \\ "2'}
FULL = {
    **GOOD,
    **SECRETS,
    "new_site_name": "physics-2",
    "new_site_address": "198.51.100.7",
    "new_site_user": "admin",
    "new_site_alternative_names": "198.51.100.7, runs.lab.example,2001:db8::7",
    "new_site_admin_email": "admin@lab.example",
    "new_site_client_cidrs": "192.0.2.0/24",
    "new_site_volume": "1b2f0c1e-7a51-4c58-9f4c-0d2f4b8f4a10",
    "new_site_certificate_provider": "acme",
    "new_site_database_host": "db1.lab.example:5432,db2.lab.example:5432",
    "new_site_database_port": "6432",
    "new_site_database_ca_file": "/etc/ssl/certs/lab.pem",
    "new_site_s3_endpoint": "https://store.lab.example:8443/",
    "new_site_s3_region": "RegionOne",
    "new_site_s3_bucket": "physics-runs",
    "new_site_s3_ca_file": "/etc/ssl/certs/store.pem",
    "new_site_s3_access_key": "AKIAEXAMPLE",
    "new_site_clients": "node1, node2.lab.example",
    "new_site_http_proxy": "http://proxy.lab.example:3128",
}


class Desk:
    """A working directory and a home of its own."""

    def __init__(self, directory: Path) -> None:
        self.work, self.home = directory / "work", directory / "home"
        for path in (self.work, self.home):
            path.mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "HOME": str(self.home),
            "PWD": str(self.work),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_NOCOLOR": "true",
        }
        self.vault = self.home / ".config" / "labtrack" / "genomics.vault-password"

    def run(self, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command, without a terminal."""
        words = [str(word) for word in command]
        settings = {**self.environment, **environment}
        return subprocess.run(words, cwd=self.work, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def answer(self, answers: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
        """Run the playbook with these answers."""
        path = self.home / "answers.json"
        path.write_text(json.dumps({"__answers": None, **{name: value for name, value in answers.items() if "{" not in value}}), encoding="utf-8")
        unsafe = "".join(f"{name}: !unsafe {json.dumps(value)}\n" for name, value in answers.items() if "{" in value)
        (self.home / "unsafe.yml").write_text("---\n__unsafe:\n" + unsafe, encoding="utf-8")
        files = ["-e", f"@{path}", "-e", f"@{self.home / 'unsafe.yml'}"]
        return self.run(BIN / "ansible-playbook", ROOT / "playbooks" / "new_site.yml", *files, *options)

    def inventory(self, name: str, vault: Path) -> dict[str, Any]:
        """The inventory as Ansible reads it, secrets decrypted."""
        done = self.run(BIN / "ansible-inventory", "-i", self.work / "inventories" / name, "--list", ANSIBLE_VAULT_PASSWORD_FILE=str(vault))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def written(self) -> list[str]:
        """Everything in the working directory."""
        return sorted(str(path.relative_to(self.work)) for path in self.work.rglob("*"))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_three_answers_make_a_site_on_one_machine(desk: Desk) -> None:
    done = desk.answer(GOOD)
    assert done.returncode == 0, done.stdout
    found = desk.inventory("genomics", desk.vault)
    assert {name: found[name]["hosts"] for name in ("tracking_servers", "database_servers", "object_store_servers")} == {
        "tracking_servers": ["mlflow"],
        "database_servers": ["mlflow"],
        "object_store_servers": ["mlflow"],
    }
    server = found["_meta"]["hostvars"]["mlflow"]
    assert (server["ansible_host"], server["ansible_user"]) == ("mlflow.lab.example", "debian")
    assert server["site_admin_cidrs"] == ["192.0.2.0/24", "2001:db8::/32"]
    secret = server["vault_s3_secret_key"]["__ansible_unsafe"]
    assert len(secret) == 40
    assert desk.vault.stat().st_mode & 0o777 == 0o600
    assert desk.vault.parent.stat().st_mode & 0o777 == 0o700
    password, text = desk.vault.read_text(encoding="utf-8").strip(), done.stdout + done.stderr
    assert password not in text
    assert secret not in text

    before = (desk.work / "inventories" / "genomics" / "group_vars" / "all" / "vault.yml").read_bytes()
    again = desk.answer(GOOD)
    assert again.returncode != 0
    assert "is there already, and is not overwritten" in again.stdout
    assert (desk.work / "inventories" / "genomics" / "group_vars" / "all" / "vault.yml").read_bytes() == before


def test_all_answers_arrive_and_no_secret_is_seen(desk: Desk) -> None:
    vault = desk.home / "the vault"
    vault.write_text("a password of mine\n", encoding="utf-8")
    vault.chmod(0o600)
    left = desk.work / "inventories" / ".physics-2.new" / "group_vars" / "all"
    left.mkdir(parents=True)
    (left / "vault.yml").write_text("half, by an interrupted run", encoding="utf-8")
    done = desk.answer({**FULL, "new_site_vault_password_file": "~/the vault"}, "-vvv")
    assert done.returncode == 0, done.stdout
    assert [path.name for path in (desk.work / "inventories").iterdir()] == ["physics-2"]
    found = desk.inventory("physics-2", vault)
    assert "hosts" not in found.get("database_servers", {})
    assert "hosts" not in found.get("object_store_servers", {})
    assert found["tracking_clients"]["hosts"] == ["node1", "node2.lab.example"]
    server = found["_meta"]["hostvars"]["mlflow"]
    expected = {
        "site_name": "physics-2",
        "site_alternative_names": ["198.51.100.7", "runs.lab.example", "2001:db8::7"],
        "site_admin_email": "admin@lab.example",
        "site_client_cidrs": ["192.0.2.0/24"],
        "certificate_provider": "acme",
        "host_base_volume": {"id": FULL["new_site_volume"]},
        "site_database_host": FULL["new_site_database_host"],
        "site_database_port": 6432,
        "site_database_ca_file": "/etc/ssl/certs/lab.pem",
        "site_s3_endpoint": "https://store.lab.example:8443",
        "site_s3_region": "RegionOne",
        "site_s3_bucket": "physics-runs",
        "site_s3_ca_file": "/etc/ssl/certs/store.pem",
        "site_http_proxy": "http://proxy.lab.example:3128",
    }
    assert {name: server[name] for name in expected} == expected
    vaulted = {name: value["__ansible_unsafe"] for name, value in server.items() if name.startswith("vault_")}
    assert len(vaulted.pop("vault_backup_passphrase")) == 40
    assert vaulted == {
        "vault_s3_access_key": "AKIAEXAMPLE",
        "vault_s3_secret_key": SECRETS["new_site_s3_secret_key"],
        "vault_database_password": SECRETS["new_site_database_password"],
    }
    seen = done.stdout + done.stderr + "".join(p.read_text(encoding="utf-8") for p in (desk.work / "inventories").rglob("*.yml"))
    for secret in (*SECRETS.values(), "AKIAEXAMPLE", "a password of mine"):
        assert secret not in seen
        assert json.dumps(secret)[1:-1] not in seen


CLOUD = {**GOOD, "new_site_cloud": "lab", "new_site_cloud_profile": "arbutus", "new_site_flavor": "p2-4gb", "new_site_alternative_names": "runs.lab.example"}


def test_a_machine_that_the_cloud_makes(desk: Desk) -> None:
    done = desk.answer(CLOUD)
    assert done.returncode == 0, done.stdout
    found = desk.inventory("genomics", desk.vault)
    assert found["openstack_servers"]["hosts"] == found["tracking_servers"]["hosts"] == ["mlflow"]
    assert "hosts" not in found.get("object_store_servers", {})
    server = found["_meta"]["hostvars"]["mlflow"]
    assert (server["site_cloud"], server["site_cloud_profile"], server["openstack_server_flavor"]) == ("lab", "arbutus", "p2-4gb")
    assert server["object_store_credentials"] == "create" and "s3_endpoint" in server["site_s3_endpoint"]
    assert not {"ansible_host", "ansible_user", "host_base_volume", "site_s3_access_key"} & set(server)
    # recorded state goes beside the file with the host's variables, and hides it not
    record = desk.work / "inventories" / "genomics" / "host_vars" / "mlflow" / "openstack_server.yml"
    record.write_text("site_public_address: 203.0.113.9\n", encoding="utf-8")
    show = ["-m", "ansible.builtin.debug", "-a", "msg={{ site_alternative_names }}{{ openstack_server_flavor }}"]
    said = desk.run(BIN / "ansible", "mlflow", "-i", desk.work / "inventories" / "genomics", *show, ANSIBLE_VAULT_PASSWORD_FILE=str(desk.vault))
    assert "['runs.lab.example', '203.0.113.9']p2-4gb" in said.stdout, said.stdout + said.stderr


def test_a_key_of_ones_own_for_the_clouds_store(desk: Desk) -> None:
    done = desk.answer({**CLOUD, "new_site_s3_access_key": "AKIAEXAMPLE", "new_site_s3_secret_key": "canary-secret"})
    assert done.returncode == 0, done.stdout
    server = desk.inventory("genomics", desk.vault)["_meta"]["hostvars"]["mlflow"]
    assert server["object_store_credentials"] == "provide"
    assert server["vault_s3_access_key"]["__ansible_unsafe"] == "AKIAEXAMPLE"


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"new_site_cloud_profile": "aws"}, "one of arbutus"),
        ({"new_site_flavor": ""}, "the name of a flavor with new_site_cloud"),
        ({"new_site_address": "192.0.2.5"}, "because site.yml finds it"),
        ({"new_site_volume": "1b2f0c1e"}, "because site.yml makes one"),
        ({"new_site_s3_access_key": "AKIAEXAMPLE"}, "or new_site_s3_access_key"),
        (
            {"new_site_cloud_profile": "generic", "new_site_s3_access_key": "AKIAEXAMPLE", "new_site_s3_secret_key": "canary-secret"},
            "whose profile names no store",
        ),
    ],
)
def test_answers_that_do_not_fit_a_cloud(desk: Desk, answers: dict[str, str], said: str) -> None:
    done = desk.answer({**CLOUD, **answers})
    assert done.returncode != 0
    assert said in " ".join(done.stdout.split()) and "canary" not in done.stdout
    assert desk.written() == []


@pytest.mark.parametrize(
    ("answer", "value", "accepted"),
    [
        ("new_site_name", "", "small letters"),
        ("new_site_name", "../escape", "small letters"),
        ("new_site_fqdn", "https://mlflow.lab.example", "without https://"),
        ("new_site_admin_cidrs", "", "at least one network"),
        ("new_site_admin_cidrs", "10.0.0.300/24", "at least one network"),
        ("new_site_volume", "vdb", "another disk after a reboot"),
        ("new_site_certificate_provider", "letsencrypt", "lab_ca, acme or provided"),
        ("new_site_certificate_key_file", "/nowhere/key.pem", "with 'provided'"),
        ("new_site_database_host", "postgresql://db.lab.example", "without postgresql://"),
        ("new_site_database_password", "canary-of-the-database", "with new_site_database_host"),
        ("new_site_s3_endpoint", "store.lab.example", "https://host"),
        ("new_site_s3_secret_key", "canary", "at least 8 characters"),
        ("new_site_s3_bucket", "My_Bucket", "3 to 63 small letters"),
        ("new_site_database_port", "54321x", "1 to 65535"),
        ("new_site_user", "Root!", "the name of an account"),
        ("new_site_vault_password_file", "CHECKOUT/vault-password", "does not get into git"),
    ],
)
def test_a_bad_answer_is_explained(answer: str, value: str, accepted: str, bad_answers: str) -> None:
    entry = bad_answers[bad_answers.index(f"{answer} is '{'(hidden)' if 'canary' in value else value}'") :]
    assert accepted in entry
    assert "canary" not in bad_answers


@pytest.fixture(scope="module")
def bad_answers(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run with only bad answers says, and a second one for names that are bad twice."""
    marks = next(mark for mark in test_a_bad_answer_is_explained.pytestmark if mark.name == "parametrize")
    said = ""
    for cases in (marks.args[1][::2], marks.args[1][1::2]):
        desk = Desk(tmp_path_factory.mktemp("bad"))
        (desk.work / ".git").mkdir()
        done = desk.answer({**GOOD, **{case[0]: case[1].replace("CHECKOUT", str(desk.work)) for case in cases}})
        assert done.returncode != 0
        assert desk.written() == [".git"]
        assert not desk.vault.exists()
        said += " ".join(done.stdout.split()).replace(str(desk.work), "CHECKOUT")
    return said


def test_a_loose_vault_password_file_is_refused(desk: Desk) -> None:
    loose = desk.home / "loose"
    loose.write_text("password\n", encoding="utf-8")
    loose.chmod(0o644)
    done = desk.answer({**GOOD, "new_site_vault_password_file": str(loose)})
    assert done.returncode != 0
    assert "others may read it" in done.stdout
    assert desk.written() == []


def test_every_question_is_checked() -> None:
    play = yaml.safe_load((ROOT / "playbooks" / "new_site.yml").read_text(encoding="utf-8"))[0]
    checks = yaml.safe_load((ROOT / "playbooks" / "vars" / "new_site.yml").read_text(encoding="utf-8"))["new_site_checks"]
    questions = {question["name"]: question for question in play["vars_prompt"]}
    assert set(questions) == {entry["answer"] for entry in checks}
    assert all(question["unsafe"] and "default" in question for question in questions.values())
    for entry in checks:
        assert entry.get("secret", False) or not questions[entry["answer"]]["private"]
