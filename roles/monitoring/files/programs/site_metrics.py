# Kept by labtrack.mlflow.monitoring.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what this machine knows of its versions, and of the days on which something ends: labtrack_site.prom.

usage: site_metrics.py CONFIG

CONFIG is JSON: metrics_dir, static_dir (MLflow's user interface, in its release), certificates (list of kind and file), dates (list of kind, date and name).
Metrics: labtrack_expiry_timestamp_seconds{kind,name}, labtrack_info{mlflow,postgresql,debian}. What is not there is left out; what cannot be read is told
at the end, with status 1.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import subprocess
import sys
from pathlib import Path

import textfile
from cryptography import x509
from cryptography.x509.oid import NameOID

PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
BUNDLE = 20  # certificates; a file with more is the system's list of public authorities, and none of the lab's


def end_of(path: Path) -> tuple[str, float] | None:
    """Name and end of the first certificate of a file; None for a list of public authorities.

    Raises:
        ValueError: there is none.
    """
    found = PEM.findall(path.read_bytes())
    if not found:
        raise ValueError("it holds no certificate in PEM")
    if len(found) > BUNDLE:
        return None
    certificate = x509.load_pem_x509_certificate(found[0])
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    # the name without a time zone is the one that Debian 12 has, too
    end = getattr(certificate, "not_valid_after_utc", None) or certificate.not_valid_after.replace(tzinfo=dt.UTC)
    return (str(names[0].value) if names else ""), end.timestamp()


def mlflow_version(static_dir: Path) -> str:
    """Version of the release whose user interface this is; empty where there is none."""
    release = static_dir.resolve().parent
    for folder in [release, *release.parents[:9]]:
        for found in folder.glob("lib/python3*/site-packages/mlflow-[0-9]*.dist-info"):
            return found.name.removeprefix("mlflow-").removesuffix(".dist-info")
    return ""


def postgresql_version() -> str:
    """Version of the newest server that is installed; empty without one."""
    command = ["dpkg-query", "-Wf", "${db:Status-Abbrev} ${Package} ${Version}\n", "postgresql-[0-9]*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.findall(r"^ii\s+postgresql-\d+ ([0-9.]+)", done.stdout, re.M)
    return max(found, key=lambda version: [int(part) for part in version.split(".")], default="")


def debian_version(path: Path = Path("/etc/debian_version")) -> str:
    """As the machine writes it: 13.2."""
    return path.read_text(encoding="utf-8").strip()


def expiries(config: dict, problems: list[str]) -> textfile.Samples:
    """Everything that ends."""
    found: textfile.Samples = []
    for entry in config["certificates"]:
        path = Path(entry["file"])
        try:
            end = end_of(path) if path.exists() else None
        except (OSError, ValueError) as error:
            problems.append(f"{path}: {error}")
            continue
        if end:
            found.append(({"kind": entry["kind"], "name": end[0]}, end[1]))
    for entry in config["dates"]:
        moment = dt.datetime.strptime(entry["date"], "%Y-%m-%d").replace(tzinfo=dt.UTC)
        found.append(({"kind": entry["kind"], "name": entry.get("name", "")}, moment.timestamp()))
    return found


def main(arguments: list[str]) -> int:
    """Entry point."""
    config = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    problems: list[str] = []
    versions = {"mlflow": mlflow_version(Path(config["static_dir"])), "postgresql": postgresql_version(), "debian": debian_version()}
    text = textfile.metric("labtrack_expiry_timestamp_seconds", "When this ends.", expiries(config, problems))
    text += textfile.metric("labtrack_info", "Versions of this machine.", [(versions, 1)])
    textfile.write(Path(config["metrics_dir"]) / "labtrack_site.prom", text)
    for problem in problems:
        print(f"site_metrics: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
