# SPDX-License-Identifier: GPL-3.0-or-later
"""Full disks: everybody reads which one it is, and when there is room again, all goes on without anybody's help."""

from __future__ import annotations

import pytest
from testbed.faults import SmallDisk, sentence_of, wait

DATABASE = "postgresql@17-labtrack.service"
MLFLOW = "labtrack-mlflow-main.socket labtrack-mlflow-main.service"
DATA = "/var/lib/labtrack/postgresql/17/labtrack"
PSQL = "runuser -u postgres -- psql -XAtq"


def test_the_data_volume_is_full(scene, machine):
    with SmallDisk(machine, f"{MLFLOW} {DATABASE}", 100, "/var/lib/labtrack") as disk, scene("data volume full") as now:
        disk.fill()
        text = now.failure("metrics", wanted="no space left")
        assert text.startswith("OSError: 503")
        assert "enlarge the data volume" in text
        now.says(f"503: {sentence_of(text)}")
        disk.free()
        now.over("space is free again")


def test_the_disk_of_the_wal_is_full(scene, machine):
    with SmallDisk(machine, f"{MLFLOW} {DATABASE}", 100, f"{DATA}/pg_wal") as disk, scene("disk of the WAL full") as now:
        disk.fill()
        # until PostgreSQL needs another segment, and gives up
        machine.run(f"for i in $(seq 60); do {PSQL} -c 'select pg_switch_wal()' >/dev/null || exit 0; done; exit 1")
        text = now.failure("metrics", wanted="The database")
        assert text.startswith("OSError: 503")
        now.failure("metrics", wanted="does not answer")
        said = wait(
            lambda: [line for line in machine.sh("tail -n 60 /var/log/postgresql/postgresql-17-labtrack.log").splitlines() if "No space left" in line],
            60,
            "PostgreSQL's log says why",
        )
        now.says(f"503: {sentence_of(text)[:60]}…; PostgreSQL's log: {said[-1].split(' UTC ')[-1]}")
        disk.free()
        now.over("space is free again")


@pytest.mark.parametrize("restart", [False, True])
def test_the_log_partition_is_full(scene, machine, restart):
    with SmallDisk(machine, "nginx fail2ban", 20, "/var/log") as disk, scene(f"log partition full{', all services restarted' if restart else ''}") as now:
        disk.fill()
        if restart:
            machine.sh(f"systemctl restart {DATABASE} labtrack-mlflow-main nginx fail2ban", 180)
        now.works("metrics")
        now.works("objects")
        now.says("nothing that a client sees; monitoring's rule for full disks")
        disk.free()
        now.over("space is free again")


def test_the_root_disk_is_full(scene, machine, lab):
    """All that a service writes to outside the data volume, and a restart of it, with requests larger than nginx keeps in memory."""
    with SmallDisk(machine, f"{MLFLOW} nginx fail2ban", 20, "/var/tmp", "/var/log", "/var/lib/nginx", "/var/cache") as disk, scene("root disk full") as now:
        disk.fill()
        now.works("metrics")
        now.works("objects")
        machine.sh("systemctl restart labtrack-mlflow-main nginx", 180)
        now.works("metrics")
        now.works("objects")
        disk.free()
        now.over("space is free again")
