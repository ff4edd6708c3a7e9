# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios about upgrades share: the playbooks, a client that writes meanwhile, and what a machine serves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

from .engine import ROOT

WRITER = Path(__file__).with_name("writer.py")
ROWS: list[dict[str, Any]] = []  # what each writing client saw


def note(summary: dict[str, Any]) -> dict[str, Any]:
    """A row of the table: a client's summary under the name of the test that runs; the caller may add to it, as `lost`."""
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition("::")[2].rpartition(" ")[0]
    ROWS.append({"test": test, **summary})
    return ROWS[-1]


def table() -> str:
    """The rows in Markdown."""
    lines = ["| test | acknowledged | failed requests | longest request (s) | lost |", "| --- | --- | --- | --- | --- |"]
    for row in ROWS:
        lost = "not compared" if row.get("lost") is None else len(row["lost"])
        lines.append(f"| {row['test']} | {row['acknowledged']} | {row['failed']} | {row['longest_seconds']} | {lost} |")
    return "\n".join(lines) + "\n"


class Instance:
    """An instance of MLflow on a test machine. `host` is testinfra's, `settings` are the variables that the playbooks get."""

    def __init__(self, host: Any, settings: dict[str, Any], name: str = "main", databases: tuple[str, str] = ("mlflowdb", "mlflowauth")) -> None:
        self.host, self.settings, self.name, self.databases = host, settings, name, databases
        self.unit = f"labtrack-mlflow-{name}"
        self.program_dir, self.state_dir = f"/opt/labtrack/mlflow/{name}", f"/var/lib/labtrack/mlflow/{name}"

    def command(self, tool: str, *arguments: str, **settings: Any) -> list[str]:
        """ansible or ansible-playbook, with the scenario's inventory."""
        inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml"
        return [str(Path(sys.executable).parent / tool), *arguments, "-i", str(inventory), "-e", json.dumps({**self.settings, **settings})]

    def environment(self) -> dict[str, str]:
        """The checkout's own ansible.cfg, as a lab admin has it."""
        return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}

    def play(self, playbook: str, *, fails: bool = False, **settings: Any) -> str:
        """Run a playbook to its end; its output."""
        command = self.command("ansible-playbook", f"playbooks/{playbook}.yml", **settings)
        done = subprocess.run(command, cwd=ROOT, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert (done.returncode != 0) == fails, done.stdout[-6000:]
        return done.stdout

    def begin(self, playbook: str, **settings: Any) -> subprocess.Popen:
        """Start a playbook, in a process group of its own."""
        command = self.command("ansible-playbook", f"playbooks/{playbook}.yml", **settings)
        return subprocess.Popen(command, cwd=ROOT, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def release(self) -> str:
        """Version of the release whose processes serve."""
        pid = self.host.check_output("systemctl show -p MainPID --value %s.service", self.unit)
        path = self.host.check_output(f"tr '\\0' '\\n' < /proc/{pid}/cmdline | head -1")
        return path.removeprefix(f"{self.program_dir}/releases/").split("-")[0]

    def sql(self, query: str, database: str = "", **variables: str) -> list[str]:
        """Rows of a database; psql quotes the variables."""
        given = [word for name, value in variables.items() for word in ("-v", f"{name}={value}")]
        command = ["docker", "exec", "-i", "-u", "postgres", "-w", "/", self.host.backend.host, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", *given]
        done = subprocess.run([*command, "-d", database or self.databases[0]], input=query, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def records(self) -> list[dict[str, Any]]:
        """Of all upgrades, the newest first."""
        paths = self.host.check_output(f"ls -r {self.state_dir}/upgrade/*/record.json").splitlines()
        return [json.loads(self.host.check_output(f"cat {path}")) for path in paths]


class Writing:
    """A client that writes on the machine for as long as the context lasts."""

    def __init__(self, instance: Instance, address: str = "", credentials: str = "") -> None:
        self.instance, self.host = instance, instance.host
        self.address = address or f"/run/{instance.unit}/api.sock"
        self.credentials = credentials or f"{instance.state_dir}/admin_credentials"
        self.folder = f"/var/lib/writer-{uuid.uuid4().hex[:8]}"
        self.unit = Path(self.folder).name
        self.summary: dict[str, Any] = {}
        self.row: dict[str, Any] = {}

    def __enter__(self) -> Writing:
        self.host.check_output(f"mkdir {self.folder}")
        command = ["docker", "exec", "-i", self.host.backend.host, "tee", f"{self.folder}/writer.py"]
        subprocess.run(command, input=WRITER.read_bytes(), stdout=subprocess.DEVNULL, check=True)
        arguments = f"{self.folder}/writer.py {self.folder} {self.credentials} {self.address}"
        self.host.check_output(f"systemd-run --quiet --collect --unit={self.unit} python3 {arguments}")
        self.wait_for(20)
        return self

    def __exit__(self, *_error: object) -> None:
        self.host.check_output(f"touch {self.folder}/stop")
        self.host.check_output(f"timeout 400 sh -c 'while systemctl is-active -q {self.unit}; do sleep 0.2; done'")
        if self.host.file(f"{self.folder}/summary").exists:
            self.summary = json.loads(self.host.check_output(f"cat {self.folder}/summary"))
            self.row = note(self.summary)

    def acknowledged(self) -> int:
        """How many writes were acknowledged so far."""
        return int(self.host.check_output(f"cat {self.folder}/acknowledged 2>/dev/null | wc -l"))

    def wait_for(self, count: int, seconds: int = 300) -> None:
        """Until so many more were acknowledged."""
        wanted = count + self.acknowledged()
        command = f"timeout {seconds} sh -c 'until [ $(cat {self.folder}/acknowledged 2>/dev/null | wc -l) -ge {wanted} ]; do sleep 0.2; done'"
        done = self.host.run(command)
        assert done.rc == 0, f"writes are not acknowledged any more: {self.host.run(f'journalctl -u {self.unit} -u {self.instance.unit} -n 40').stdout}"

    def lost(self, database: str = "") -> list[int]:
        """Acknowledged writes that are not in the database."""
        run = self.host.check_output(f"cat {self.folder}/run")
        sent = [int(line) for line in self.host.check_output(f"cat {self.folder}/acknowledged").splitlines()]
        found = set(map(int, self.instance.sql("select step from metrics where run_uuid = :'run' and key = 'number'", database, run=run)))
        self.row["lost"] = [number for number in sent if number not in found]
        return self.row["lost"]
