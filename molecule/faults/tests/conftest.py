# SPDX-License-Identifier: GPL-3.0-or-later
"""The site, the store's proxy, and a client that writes all the time; the table at the end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))

from testbed.faults import Lab, Machine, Scene, report
from testbed.site import Site, scenario_host, scenario_inventories

ROOT = Path(__file__).resolve().parents[3]
# these tests serve the scenario proofs_short, too
SCENARIO = os.environ.get("MOLECULE_SCENARIO_NAME", "faults")
ENVIRONMENT = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "LABTRACK_REPORT_DIR": ""}


@pytest.fixture(scope="session")
def machine() -> Machine:
    """The site's machine."""
    return Machine(scenario_host()["testbed_machine"])


@pytest.fixture(scope="session")
def store() -> Machine:
    """The proxy in front of the object store."""
    return Machine("lt-faults-store")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """A lab that writes until the last test has ended."""
    folder = tmp_path_factory.mktemp("lab")
    lab = Lab(Site.of_scenario(folder / "ca.pem"), folder, SCENARIO)
    try:
        lab.start()
        yield lab
    finally:
        lab.stop()
    print("\n" + report(lab))


@pytest.fixture
def scene(lab: Lab, request: pytest.FixtureRequest):
    """`with scene("fault"):`; the journal explains a failure."""
    return lambda fault: Scene(lab, fault)


@pytest.fixture
def command():
    """ansible-playbook with this site's inventory."""
    tool = Path(sys.executable).parent / "ansible-playbook"
    return lambda playbook, *options: [str(tool), playbook, *scenario_inventories(), *options]


@pytest.fixture
def play(command):
    """A playbook as a lab admin runs it."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command(*words), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(autouse=True)
def _journal(request, machine):
    """What the services said, when a test fails."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        print(machine.run("systemctl --failed --no-legend; journalctl --no-pager -o short -n 40 -p info").stdout)
