# SPDX-License-Identifier: GPL-3.0-or-later
"""The site whose secrets are replaced, a person who works meanwhile, and the playbook as a lab admin runs it."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))

from testbed.load import Caller, Load
from testbed.site import Site, scenario_host, scenario_inventories

ROOT = Path(__file__).resolve().parents[3]
MACHINE = scenario_host()["testbed_machine"]
API, API3 = "/api/2.0/mlflow/", "/api/3.0/mlflow/"
KEYS = "/var/lib/labtrack/mlflow/main/keys"


def on_machine(*command: str, stdin: str = "", check: bool = True) -> str:
    """Output of a command that root runs on the machine."""
    return subprocess.run(["docker", "exec", "-i", MACHINE, *command], input=stdin, capture_output=True, text=True, check=check).stdout


def key(name: str) -> str:
    """A generated key."""
    return on_machine("cat", f"{KEYS}/{name}").strip()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The site as it is now: its CA and its administrator may be others than before."""
    return Site.of_scenario(tmp_path / "ca.pem")


@pytest.fixture
def load(site: Site) -> Load:
    """A plain user at work; a new one each time."""
    name, password = f"load-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    status, body = Caller(site, site.user, site.password).ask("POST", f"{API}users/create", {"username": name, "password": password})
    assert status == 200, body
    return Load(site, name, password, idle_may_close=True)


class Playbook:
    """Runs rotate_secrets.yml; what a vault would hold is remembered from run to run."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}

    def _command(self, names: str) -> list[str]:
        tool = Path(sys.executable).parent / "ansible-playbook"
        extra = json.dumps({"rotate_secrets": names, **self.given})
        return [str(tool), "playbooks/rotate_secrets.yml", *scenario_inventories(), "-e", extra]

    @staticmethod
    def _environment() -> dict[str, str]:
        plain = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "LABTRACK_REPORT_DIR": "", "ANSIBLE_TIMEOUT": "60"}
        return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), **plain}

    def run(self, names: str, fails: bool = False) -> str:
        """To its end; its output."""
        done = subprocess.run(self._command(names), cwd=ROOT, env=self._environment(), capture_output=True, text=True, check=False)
        assert bool(done.returncode) == fails, done.stdout[-5000:] + done.stderr[-1000:]
        return done.stdout

    def kill_at(self, names: str, boundary: str) -> None:
        """The controller dies when a task begins."""
        command = self._command(names)
        process = subprocess.Popen(
            command, cwd=ROOT, env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        output = []
        try:
            for line in process.stdout:
                output.append(line)
                if re.search(boundary, line):
                    return
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        pytest.fail(f"the play ended before '{boundary}':\n{''.join(output)[-3000:]}")


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    """The playbook."""
    return Playbook()


class Encrypted:
    """A real secret of a model provider, and a real webhook, made through MLflow's API."""

    def __init__(self) -> None:
        self.name, self.text = f"kept-{secrets.token_hex(4)}", f"plain-text-{secrets.token_hex(8)}"

    def make(self, site: Site) -> None:
        """Nothing is ever sent to the address of the webhook: its event does not happen here."""
        admin = Caller(site, site.user, site.password)
        provider = {"secret_name": self.name, "secret_value": {"api_key": self.text}, "provider": "openai"}
        hook = {"name": self.name, "url": "https://8.8.8.8/", "secret": self.text, "events": [{"entity": "MODEL_VERSION_ALIAS", "action": "DELETED"}]}
        for path, body in ((f"{API3}gateway/secrets/create", provider), (f"{API}webhooks", hook)):
            status, answer = admin.ask("POST", path, body)
            assert status == 200, answer

    def opened(self, *keys: str) -> tuple[str | None, str | None]:
        """What the keys open: those of the machine, or others."""
        on_machine("sh", "-c", "cat > /run/opened.py", stdin=(ROOT / "molecule/rotate_secrets/files/opened.py").read_text(encoding="utf-8"))
        found = json.loads(on_machine("/opt/labtrack/mlflow/main/current/bin/python", "/run/opened.py", stdin=" ".join(keys)).splitlines()[-1])
        return (found["providers"][self.name] or {}).get("api_key"), found["webhooks"][self.name]

    def service_opens(self, site: Site) -> bool:
        """Whether the running processes open both: a listing of webhooks, an endpoint that needs the provider's key."""
        admin = Caller(site, site.user, site.password)
        answers = [admin.ask("GET", f"{API}webhooks") for _ in range(4)]
        return all(status == 200 and self.name.encode() in body for status, body in answers)


@pytest.fixture(scope="session")
def encrypted() -> Encrypted:
    """Made by the first test that needs it."""
    return Encrypted()
