# SPDX-License-Identifier: GPL-3.0-or-later
"""A tracking server that is measured, and the small REST client that prepares it."""

from __future__ import annotations

import contextlib
import json
import ssl
import urllib.parse
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import docker
from testbed import machines as testbed

from . import machines

STOCK_PORT = 5000
# process and kB, for the processes whose control group matches
PSS = (
    "for file in $(grep -lE '{units}' /proc/[0-9]*/cgroup 2>/dev/null); do"
    " awk -v file=$file '/^Pss:/ {{print file, $2}}' \"${{file%cgroup}}smaps_rollup\"; done"
)


@dataclass
class Target:
    """Where a server is, who may use it, which container and units it runs in."""

    name: str
    url: str
    machine: machines.Machine
    units: str
    header: str = ""
    ca_pem: str = ""
    users: tuple[str, ...] = ("root",)

    def call(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One REST call."""
        headers = {"Content-Type": "application/json", **({"Authorization": self.header} if self.header else {})}
        place = urllib.parse.urlsplit(self.url)
        context = ssl.create_default_context(cadata=self.ca_pem) if self.ca_pem else None
        connection = HTTPSConnection(place.netloc, context=context, timeout=60) if context else HTTPConnection(place.netloc, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET" if body is None else "POST", f"/api/2.0/mlflow/{path}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                raise OSError(f"{self.url} answered {answer.status} to {path}")
            return json.load(answer)

    def answers(self) -> bool:
        """Whether it serves the REST API."""
        try:
            self.call("experiments/search", {"max_results": 1})
        except (OSError, HTTPException):
            return False
        return True

    def prepare(self, name: str, runs: int = 100) -> tuple[str, str]:
        """An experiment with runs to search for; its id and the id of a run to log to."""
        experiment = self.call("experiments/create", {"name": name})["experiment_id"]
        for index in range(runs):
            run = self.call("runs/create", {"experiment_id": experiment, "start_time": index})["run"]["info"]["run_id"]
            metrics = [{"key": f"m{key}", "value": index / 7, "timestamp": 1, "step": 1} for key in range(5)]
            params = [{"key": f"p{key}", "value": str(index)} for key in range(5)]
            self.call("runs/log-batch", {"run_id": run, "metrics": metrics, "params": params})
        return experiment, self.call("runs/create", {"experiment_id": experiment, "start_time": 1})["run"]["info"]["run_id"]

    def memory_mb(self) -> float:
        """Proportional set size of the processes of its units; each process is read by its own user, who needs no privilege for it."""
        found: dict[str, int] = {}
        for user in self.users:
            _code, output = self.machine.exec_run(["bash", "-c", PSS.format(units=self.units)], user=user, stderr=False)
            found |= {process: int(size) for process, size in (line.split() for line in output.decode().splitlines())}
        return sum(found.values()) / 1024


def stock(client: docker.DockerClient) -> Target:
    """A server as MLflow's documentation starts it, in a container of its own; installed when it is not there yet."""
    machine = machines.existing(client, "stock")
    if machine is None:
        machine = machines.fresh(client, "stock")
        machines.put(machine, "/opt/stock", {**machines.locks(), "stock.sh": machines.beside("stock.sh")})
        testbed.run(machine, ["/opt/stock/stock.sh", "/opt/stock"])
    target = Target("stock", f"http://{testbed.address(machine)}:{STOCK_PORT}", machine, units="stock-mlflow[.]service")
    machines.wait("the stock server", target.answers)
    return target


def read_file(machine: machines.Machine, path: str | Path) -> str:
    """A file of the machine."""
    return testbed.run(machine, ["cat", str(path)])
