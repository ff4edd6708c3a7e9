# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests a second of the deployed site (login, TLS, nginx) beside a stock server (none of them): alternating rounds of the same load."""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

import docker
from testbed import machines as testbed
from testbed.engine import TestbedError

from . import cpu, machines
from .figures import Figure, Report, middle, say
from .targets import Target

CONNECTIONS, THREADS, ROUNDS = 16, 2, 3
SECONDS = {"log_metric": 10, "get_run": 5, "log_batch": 5, "search": 5}
GOALS = {"log_metric": 1.5}
LOAD = "/opt/bench"


def client_machine(client: docker.DockerClient) -> machines.Machine:
    """The machine that asks: wrk from Debian."""
    machine = machines.existing(client, "client")
    if machine is None:
        machine = machines.fresh(client, "client")
        testbed.run(machine, ["bash", "-c", "apt-get update -qq && apt-get install -y -qq --no-install-recommends wrk"])
    return machine


def shoot(asker: machines.Machine, target: Target, kind: str, run: str, experiment: str, seconds: int) -> dict[str, Any]:
    """One round of load; rate, latency, CPU of the server's machine per request."""
    machines.put(asker, LOAD, {"load.lua": machines.beside("load.lua"), "header": target.header + "\n"})
    header = [f"{LOAD}/header"] if target.header else []
    command = ["wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s", "-s", f"{LOAD}/load.lua", target.url]
    counter = cpu.counter(target.machine)
    before = cpu.read(counter)
    output = testbed.run(asker, [*command, "--", kind, run, experiment, *header])
    used = cpu.read(counter) - before
    result = json.loads(output.strip().splitlines()[-1])
    if result["refused"] or result["broken"] or not result["requests"]:
        raise TestbedError(f"{kind} against {target.name}: {result['refused']} of {result['requests']} refused, {result['broken']} broken.")
    return {**result, "rate": result["requests"] / result["seconds"], "cpu_ms": used * 1000 / result["requests"]}


def compare(asker: machines.Machine, site: Target, stock: Target, kind: str, places: dict[str, tuple[str, str]]) -> Figure:
    """Alternating rounds of one kind of request."""
    results: dict[str, list[dict[str, Any]]] = {site.name: [], stock.name: []}
    for target in (site, stock):
        shoot(asker, target, kind, *places[target.name], 1)  # warm caches and pools
    for number in range(ROUNDS):
        for target in (site, stock) if number % 2 == 0 else (stock, site):
            results[target.name].append(shoot(asker, target, kind, *places[target.name], SECONDS[kind]))
    details = {name: {key: middle([row[key] for row in rows]) for key in ("rate", "p50_ms", "p99_ms", "cpu_ms")} for name, rows in results.items()}
    details["ratio_by_round"] = [round(ours["rate"] / theirs["rate"], 3) for ours, theirs in zip(results[site.name], results[stock.name])]
    details["cpu_ratio"] = round(details[stock.name]["cpu_ms"]["median"] / details[site.name]["cpu_ms"]["median"], 3)
    rates = [details[name]["rate"]["median"] for name in (site.name, stock.name)]
    what = f"{kind}: {rates[0]:.0f} requests/s with login and TLS, stock {rates[1]:.0f} without; CPU a request {details['cpu_ratio']:.2f} times less"
    return Figure(f"requests {kind}", round(statistics.median(details["ratio_by_round"]), 3), "x", what, GOALS.get(kind), details=details)


def bench(client: docker.DockerClient, report: Report, site: Target, stock: Target) -> None:
    """All kinds of requests."""
    asker, name = client_machine(client), f"bench {time.time_ns()}"
    say("preparing 100 runs on both servers")
    places = {target.name: tuple(reversed(target.prepare(name))) for target in (site, stock)}
    for kind in SECONDS:
        report.add(compare(asker, site, stock, kind, places))
