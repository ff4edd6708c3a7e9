# SPDX-License-Identifier: GPL-3.0-or-later
"""The site from outside, a client that logs models, people with and without rights, the play as a lab admin runs it."""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlencode

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))
sys.path.insert(0, str(Path(__file__).parent))

from testbed.site import Site

ROOT = Path(__file__).resolve().parents[3]
MACHINE = "lt-model-server"
SCENARIO = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
PEOPLE = {"ana": "ana-likes-irises-too", "bob": "bob-has-no-rights-yet"}
ANSWER = {"dataframe_split": {"columns": ["x"], "data": [[1.0]]}}


class Person:
    """One login, over a connection of its own, through TLS that is verified; no name: without a login."""

    def __init__(self, site: Site, name: str = "", password: str = ""):
        self.connection = http.client.HTTPSConnection(site.address, timeout=120, context=ssl.create_default_context(cafile=str(site.ca_file)))
        self.headers = {"Content-Type": "application/json"}
        if name:
            self.headers["Authorization"] = "Basic " + b64encode(f"{name}:{password}".encode()).decode()

    def page(self, method: str, path: str, body: dict | None = None, **headers: str) -> tuple[int, dict]:
        """Status and JSON."""
        self.connection.request(method, path, json.dumps(body) if body is not None else None, {**self.headers, **headers})
        answer = self.connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text.startswith(b"{") else {}

    def api(self, method: str, path: str, body: dict | None = None, version: str = "2.0", **query: str) -> tuple[int, dict]:
        """MLflow's REST API."""
        return self.page(method, f"/api/{version}/mlflow/{path}" + (f"?{urlencode(query)}" if query else ""), body)

    def predict(self, name: str, body: dict) -> tuple[int, list]:
        """Status and predictions."""
        status, found = self.page("POST", f"/models/{name}/invocations", body)
        return status, found.get("predictions", [])


class Traffic:
    """People who ask the model without a pause, each over a connection of its own."""

    def __init__(self, site: Site, clients: int = 4):
        self.answers: list[list[tuple[int, list]]] = [[] for _ in range(clients)]
        self.ended = threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(site, answers)) for answers in self.answers]

    def _ask(self, site: Site, answers: list) -> None:
        person = Person(site, site.user, site.password)
        while not self.ended.is_set():
            try:
                answers.append(person.predict("answer", ANSWER))
            except (OSError, http.client.HTTPException) as error:
                answers.append((0, [repr(error)]))
                person = Person(site, site.user, site.password)

    def __enter__(self) -> Traffic:
        for thread in self.threads:
            thread.start()
        self.wait(10)
        return self

    def wait(self, more: int) -> None:
        """Until everybody has had so many more answers."""
        wanted = [len(answers) + more for answers in self.answers]
        end = time.monotonic() + 120
        while any(len(answers) < count for answers, count in zip(self.answers, wanted)):
            assert time.monotonic() < end, "no answers any more"
            self.ended.wait(0.05)

    def __exit__(self, *_found: object) -> None:
        self.ended.set()
        for thread in self.threads:
            thread.join(150)

    def failures(self) -> list:
        """Answers that are no predictions."""
        return [answer for answers in self.answers for answer in answers if answer[0] != 200]

    def values(self) -> list[list[float]]:
        """What each of them has been told, in order, without repetitions."""
        found = []
        for answers in self.answers:
            told = [values[0] for _status, values in answers]
            found.append([value for number, value in enumerate(told) if number == 0 or told[number - 1] != value])
        return found

    def count(self) -> int:
        """How many answers there were."""
        return sum(map(len, self.answers))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The server, from outside."""
    return Site.of_scenario(tmp_path_factory.mktemp("ca") / "ca.pem")


@pytest.fixture(scope="session")
def admin(site: Site) -> Person:
    """The first administrator."""
    return Person(site, site.user, site.password)


@pytest.fixture(scope="session")
def people(site: Site, admin: Person) -> dict[str, Person]:
    """Two people who were given nothing yet."""
    for name, password in PEOPLE.items():
        status, found = admin.api("POST", "users/create", {"username": name, "password": password})
        assert status == 200 or "already exists" in str(found)
    return {name: Person(site, name, password) for name, password in PEOPLE.items()}


@pytest.fixture(scope="session")
def log(site: Site):
    """`log("answer", "constant", 2, "champion")`: a person's computer logs a model; its version."""

    def command(*words: str, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", "exec", *words], capture_output=True, text=True, check=True, **options)

    uv = ["/opt/labtrack/uv/environment/bin/uv"]
    settings = ["-e", "UV_SYSTEM_CERTS=1", "-e", "UV_NATIVE_TLS=1", "-e", "UV_CACHE_DIR=/opt/labtrack/uv/cache"]
    version = command(MACHINE, "readlink", "/opt/labtrack/mlflow/main/current").stdout.strip().rpartition("/")[2].partition("-")[0]
    command(*settings, MACHINE, *uv, "venv", "--quiet", "--allow-existing", "--python", "/usr/bin/python3", "/opt/try")
    wanted = [f"mlflow-skinny=={version}", "scikit-learn", "skops", "pandas"]
    command(*settings, MACHINE, *uv, "pip", "install", "--quiet", "--python", "/opt/try/bin/python", *wanted)
    program = (Path(__file__).resolve().parents[1] / "files" / "log_models.py").read_text(encoding="utf-8")
    uri = {"MLFLOW_TRACKING_URI": f"https://{site.address}", "MLFLOW_TRACKING_SERVER_CERT_PATH": "/etc/labtrack/tls/ca.pem", "MLFLOW_DISABLE_TELEMETRY": "true"}
    login = {"MLFLOW_TRACKING_USERNAME": site.user, "MLFLOW_TRACKING_PASSWORD": site.password}
    environment = {**os.environ, **uri, **login}
    passed = [word for name in (*uri, *login) for word in ("-e", name)]

    def run(name: str, kind: str, value: float = 0, *alias: str) -> int:
        words = ["docker", "exec", "-i", *passed, MACHINE, "/opt/try/bin/python", "-", name, kind, str(value), *alias]
        done = subprocess.run(words, input=program, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return int(re.findall(r"^version (\d+)$", done.stdout, re.MULTILINE)[-1])

    return run


@pytest.fixture
def models(host):
    """`models("sync")`: the program on the machine; stdout, after it has done well."""

    def run(command: str, code: int = 0) -> str:
        done = host.run(f"labtrack-models {command}")
        assert done.rc == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr

    return run


@pytest.fixture
def serving(models):
    """The version that serves, by the program's own words."""
    return lambda name: {row["name"]: row for row in json.loads(models("status --json"))}[name]


@pytest.fixture(scope="session")
def play():
    """`play(site_models=…)`: the roles again, with other variables; how many tasks changed something, and the text."""

    def run(*options: str, code: int = 0, **variables) -> tuple[int, str]:
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(SCENARIO / "inventory"), "molecule/model_server/converge.yml"]
        words = [*command, "--tags", "reverse_proxy,model_server", *options, "-e", json.dumps(variables)]
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "NO_COLOR": "1"}
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert bool(done.returncode) == bool(code), done.stdout[-4000:] + done.stderr[-1000:]
        return int((re.search(r"changed=(\d+)", done.stdout) or ["", "0"])[1]), done.stdout + done.stderr

    return run


@pytest.fixture
def traffic(site: Site):
    """A new crowd."""
    return lambda: Traffic(site)
