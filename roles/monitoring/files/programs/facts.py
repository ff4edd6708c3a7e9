# Kept by labtrack.mlflow.monitoring.
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the status page tells, as one dictionary: from the files of the jobs, and from Prometheus where it answers."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SAMPLE = re.compile(r"^(?P<name>labtrack_\w+)(?:\{(?P<labels>.*)\})? (?P<value>[-+0-9.eE]+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
UNITS = r"(labtrack-mlflow-.+|nginx|postgresql@.+|radosgw@.+|ceph-radosgw@.+|ssh|fail2ban)\\.service"
QUERIES = {
    "units": f'node_systemd_unit_state{{state="active",name=~"{UNITS}",name!~".+-(standby|restart)\\\\.service"}}',
    "targets": "up",
    "probes": "probe_success",
    "disk_free": 'node_filesystem_avail_bytes{fstype!~"tmpfs|ramfs"}',
    "disk_size": 'node_filesystem_size_bytes{fstype!~"tmpfs|ramfs"}',
    "memory": "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes * 100",
    "requests": 'sum(increase(labtrack_http_requests_total{kind!="monitoring"}[1h]))',
    "errors": 'sum(increase(labtrack_http_requests_total{kind!="monitoring",code=~"5.."}[1h]))',
    "rows": 'labtrack_mlflow_table_rows{table=~"experiments|runs|metrics"}',
}
ORDER = ("critical", "warning")


def samples(folder: Path) -> Iterator[tuple[str, dict[str, str], float]]:
    """Every metric of the jobs' files: name, labels, value. A file that is just gone, or not readable, has none."""
    for path in sorted(folder.glob("labtrack_*.prom")):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        for line in lines:
            if found := SAMPLE.match(line):
                labels = {key: value.replace(r"\"", '"').replace(r"\\", "\\") for key, value in LABEL.findall(found["labels"] or "")}
                yield found["name"], labels, float(found["value"])


class Prometheus:
    """Its API, on this machine."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def get(self, path: str, **arguments: str) -> Any:
        """The data of an answer.

        Raises:
            OSError: there is none, or it is an error.
            ValueError: it is not JSON.
        """
        with self._open(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(arguments)}", timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def query(self, text: str) -> list[tuple[dict[str, str], float]]:
        """The samples of an instant vector."""
        return [(entry["metric"], float(entry["value"][1])) for entry in self.get("query", query=text)["result"]]


def alerts(prometheus: Prometheus) -> list[dict[str, str]]:
    """What fires, the worst first."""
    firing = [entry for entry in prometheus.get("alerts")["alerts"] if entry["state"] == "firing"]
    found = [
        {
            "name": entry["labels"]["alertname"],
            "severity": entry["labels"].get("severity", "warning"),
            "since": entry["activeAt"],
            **{key: entry["annotations"].get(key, "") for key in ("summary", "description", "action")},
        }
        for entry in firing
    ]
    return sorted(found, key=lambda alert: (ORDER.index(alert["severity"]) if alert["severity"] in ORDER else len(ORDER), alert["since"]))


def jobs(found: list[tuple[str, dict[str, str], float]], limits: dict[str, float], now: float) -> list[dict[str, Any]]:
    """Every job with its last run and its last success, and what to think of it; also one that is expected and never ran."""
    result: dict[str, dict[str, Any]] = {job: {"job": job} for job in limits.get("expected", [])}
    for name, labels, value in found:
        if name.startswith("labtrack_job_") and "job" in labels:
            result.setdefault(labels["job"], {"job": labels["job"]})[name.removeprefix("labtrack_job_")] = value
    for job in result.values():
        last, limit = job.get("last_success_timestamp_seconds", 0), limits["hours"].get(job["job"], limits["default"]) * 3600
        if job.get("last_run_success") == 0:
            job["state"] = "failed"
        elif not last:
            job["state"] = "never"
        else:
            job["state"] = "old" if now - last > limit else "ok"
    return [result[job] for job in sorted(result)]


def from_prometheus(prometheus: Prometheus) -> dict[str, Any]:
    """Alerts and measurements."""
    answers = {name: prometheus.query(text) for name, text in QUERIES.items()}
    services = [{"name": labels["name"].removesuffix(".service"), "up": value == 1} for labels, value in answers["units"]]
    services += [{"name": f"{labels['instance']} ({labels['probe']})", "up": value == 1} for labels, value in answers["probes"]]
    services += [{"name": f"measurements of {labels['job']}", "up": False} for labels, value in answers["targets"] if value == 0]
    sizes = {labels["mountpoint"]: value for labels, value in answers["disk_size"]}
    disks = [
        {"mountpoint": labels["mountpoint"], "free_bytes": value, "size_bytes": sizes[labels["mountpoint"]]}
        for labels, value in answers["disk_free"]
        if sizes.get(labels["mountpoint"])
    ]
    load = {name: round(answers[name][0][1], 1) for name in ("memory", "requests", "errors") if answers[name]}
    return {
        "alerts": alerts(prometheus),
        "services": sorted(services, key=lambda service: service["name"]),
        "disks": sorted(disks, key=lambda disk: disk["mountpoint"]),
        "load": load,
        "rows": {labels["table"]: int(value) for labels, value in answers["rows"]},
    }


def collect(config: dict[str, Any], now: float | None = None) -> dict[str, Any]:
    """Everything, with the state of the site: `ok`, `warning`, `critical`, or `unknown` where Prometheus does not answer."""
    now = time.time() if now is None else now
    found = list(samples(Path(config["metrics_dir"])))
    data: dict[str, Any] = {"site": config["site"], "url": config["url"], "generated_timestamp_seconds": round(now), "state": "ok", "reason": ""}
    try:
        data.update(from_prometheus(Prometheus(config["prometheus"])))
    except (OSError, ValueError, KeyError) as error:
        data.update(state="unknown", reason=f"Prometheus does not answer: {error}", alerts=[], services=[], disks=[], load={}, rows={})
    severities = [alert["severity"] for alert in data["alerts"]]
    data["state"] = next((severity for severity in ORDER if severity in severities), data["state"])
    data["jobs"] = jobs(found, config["jobs"], now)
    data["versions"] = next((labels for name, labels, _value in found if name == "labtrack_info"), {})
    ends = [{**labels, "timestamp_seconds": value} for name, labels, value in found if name == "labtrack_expiry_timestamp_seconds"]
    data["expiry"] = sorted(ends, key=lambda entry: entry["timestamp_seconds"])
    data["bucket"] = {name.removeprefix("labtrack_bucket_"): value for name, _labels, value in found if name.startswith("labtrack_bucket_")}
    data["usage"] = any(name == "labtrack_usage_timestamp_seconds" for name, _labels, _value in found)  # names and amounts are on a page for administrators
    data["proof"] = {name.removeprefix("labtrack_backup_proof_"): value for name, _labels, value in found if name.startswith("labtrack_backup_proof_")}
    return data
