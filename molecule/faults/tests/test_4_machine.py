# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory, certificate, network, logins, WAL and the data volume."""

from __future__ import annotations

import json

from testbed.faults import sentence_of, wait

UNIT = "labtrack-mlflow-main"
DATABASE = "postgresql@17-labtrack.service"
DATA = "/var/lib/labtrack/postgresql/17/labtrack"
PSQL = "runuser -u postgres -- psql -XAtq"
TLS = "/etc/labtrack/tls"
AUTHORITY_KEY = "/var/lib/labtrack/certificate/ca.key"


def test_the_service_uses_up_its_memory(scene, machine, lab):
    """The limit is lowered to what MLflow uses now; then people send large batches."""
    group = machine.sh(f"systemctl show -p ControlGroup --value {UNIT}")
    used = int(machine.sh(f"cat /sys/fs/cgroup/memory{group}/memory.usage_in_bytes 2>/dev/null || cat /sys/fs/cgroup{group}/memory.current"))
    with scene("out of memory (MemoryMax)") as now:
        machine.sh(f"systemctl set-property --runtime {UNIT}.service MemoryMax={used + (64 << 20)}")
        try:
            body = json.dumps({"run_id": "0" * 32, "params": [{"key": f"k{number}", "value": "v" * 500} for number in range(60_000)]})

            def killed() -> str:
                lab.status("/api/2.0/mlflow/runs/log-batch", body.encode())
                return next((line for line in machine.journal(UNIT, now.begun_at).splitlines() if "out of memory" in line or "9/KILL" in line), "")

            line = wait(killed, 180, "a process was killed for want of memory")
        finally:
            machine.sh(f"systemctl set-property --runtime {UNIT}.service MemoryMax=1536M")
        now.says(f"journal: {line}")
        now.over("itself (the limit stays what the role has set)")


def test_the_certificate_has_expired(scene, machine):
    with scene("certificate expired") as now:
        machine.sh(
            f"cd /run && openssl req -new -key {TLS}/privkey.pem -subj /CN=mlflow.faults.test -out old.csr && "
            f"openssl x509 -req -in old.csr -CA {TLS}/ca.pem -CAkey {AUTHORITY_KEY} -not_before 20250101000000Z -not_after 20250201000000Z "
            f"-out old.pem && cp old.pem {TLS}/fullchain.pem && systemctl reload nginx"
        )
        text = now.failure("metrics", wanted="certificate has expired")
        now.says(f"client: {text[-120:]}; the daily timer renews a certificate of the lab's CA long before")
        machine.sh("systemctl start labtrack-certificate.service")
        now.over("labtrack-certificate.timer")


def test_the_network_between_client_and_server_is_cut(scene, machine):
    with scene("network between client and server cut for 20 s") as now:
        machine.sh("nft 'add table inet faults; add chain inet faults in { type filter hook input priority -10; }; add rule inet faults in tcp dport 443 drop'")
        now.failure("metrics")
        machine.sh("nft delete table inet faults")
        now.over("network is back")


AWAY = [
    "alter database mlflowauth allow_connections false",
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'mlflowauth'",
    "alter database mlflowauth rename to kept",
]
BACK = ["alter database kept rename to mlflowauth", "alter database mlflowauth allow_connections true"]
COUNT = ["select count(*) from pg_database where datname = 'mlflowauth'"]


def sql(machine, statements) -> str:
    return machine.sh(PSQL + "".join(f' -c "{statement}"' for statement in statements))


def test_the_database_of_logins_is_gone(scene, machine, lab, play):
    with scene("auth database gone") as now:
        sql(machine, AWAY)
        machine.sh(f"systemctl restart --no-block {UNIT}")
        text = now.failure("metrics", wanted="mlflowauth")
        assert text.startswith("OSError: 503")
        wait(lambda: "mlflowauth" in machine.journal(UNIT, now.begun_at), 60, "the journal names the database")
        assert lab.status("/api/2.0/mlflow/experiments/search?max_results=1") == 503
        assert lab.status("/") == 503
        assert lab.status("/", anonymous=True) == 401
        refused = play("site.yml")
        message = " ".join(refused.stdout.split())
        assert refused.returncode != 0 and "the cluster had it, and it is gone" in message, refused.stdout[-3000:]
        assert sql(machine, COUNT) == "0", "an empty one was made"
        now.says(f"503 and journal: {sentence_of(text)} site.yml refuses to make an empty one")
        sql(machine, BACK)
        now.over("database restored")


def test_the_wal_is_corrupted(scene, machine):
    """A copy of pg_wal stands for the backup."""
    with scene("pg_wal corrupted") as now:
        # the postmaster dies, and does not come back before the files are damaged
        machine.sh(
            f"kill -9 $(head -1 {DATA}/postmaster.pid); systemctl stop {DATABASE}; while pgrep -u postgres >/dev/null; do sleep 0.1; done; rm -rf /mnt/wal; "
            f"cp -a {DATA}/pg_wal /mnt/wal && for file in {DATA}/pg_wal/0*; do dd if=/dev/urandom of=$file bs=1M count=16 conv=notrunc 2>/dev/null; done; "
            f"systemctl start --no-block {DATABASE}"
        )
        text = now.failure("metrics", wanted="does not answer")
        log = "tail -n 100 /var/log/postgresql/postgresql-17-labtrack.log"
        said = wait(
            lambda: [line for line in machine.sh(log).splitlines() if "invalid" in line or "checkpoint record" in line], 120, "PostgreSQL's log says why"
        )
        now.says(f"503: {sentence_of(text)[:60]}…; PostgreSQL's log: {said[-1].split('] ')[-1]}")
        machine.sh(f"systemctl stop {DATABASE}; rm -rf {DATA}/pg_wal && cp -a /mnt/wal {DATA}/pg_wal && systemctl start {DATABASE}")
        now.over("WAL restored")


def test_the_data_volume_is_missing_at_boot(scene, machine, play):
    with scene("data volume missing at boot") as now:
        machine.sh(
            "printf '[Unit]\\nDefaultDependencies=no\\nBefore=sysinit.target\\n[Service]\\nType=oneshot\\n"
            'ExecStart=/bin/sh -c "mkdir -p /mnt/away && mount --move /var/lib/labtrack /mnt/away"\\n[Install]\\nWantedBy=sysinit.target\\n\' '
            "> /etc/systemd/system/faults-away.service && systemctl enable faults-away.service 2>/dev/null"
        )
        machine.power_off()
        machine.power_on()
        now.failure("metrics", wanted="503")
        journal = wait(
            lambda: "is the data volume mounted" in machine.journal(UNIT, now.begun_at) and machine.journal(UNIT, now.begun_at), 120, "MLflow says so"
        )
        assert "is missing: is the data volume mounted?" in journal
        assert machine.run("ls /var/lib/labtrack/postgresql").returncode != 0, "PostgreSQL has begun anew on the root disk"
        refused = play("site.yml")
        message = " ".join(refused.stdout.split())
        assert refused.returncode != 0 and "that this machine has worked with are not there" in message, refused.stdout[-3000:]
        assert machine.run("ls /var/lib/labtrack/postgresql").returncode != 0
        now.says("journal: " + [line for line in journal.splitlines() if "data volume" in line][0] + " site.yml refuses, too")
        machine.sh("systemctl disable faults-away.service 2>/dev/null; rm /etc/systemd/system/faults-away.service; mount --move /mnt/away /var/lib/labtrack")
        now.over("volume mounted again")
