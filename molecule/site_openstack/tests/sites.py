# SPDX-License-Identifier: GPL-3.0-or-later
"""The two labs of this scenario. Run as a program, it destroys what they have left."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))

from testbed.cloud import facts
from testbed.cloud.labs import Lab, Labs

PHYSICS = Lab("physics", "lab-a")
BIOLOGY = Lab("biology", "lab-b", {"openstack_server_network_create_enabled": True})
DIRECTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "labs"
LABS = Labs(DIRECTORY, [PHYSICS, BIOLOGY])


def told_twice(lab: Lab) -> list[str]:
    """The two switches, for one site."""
    return ["--limit", lab.host, "-e", "destroy_data=true", "-e", f"destroy_confirm={lab.name}"]


if __name__ == "__main__":
    if DIRECTORY.exists() and facts.CLOUDS_FILE.exists():
        for each in LABS.labs:
            done = LABS.play("playbooks/destroy.yml", *told_twice(each))
            print(f"{each.name} destroyed" if done.returncode == 0 else done.stdout[-3000:])
            if done.returncode:
                sys.exit(1)
        shutil.rmtree(DIRECTORY)
