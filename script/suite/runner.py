# SPDX-License-Identifier: GPL-3.0-or-later
"""Run checks side by side, each into a log of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from suite.checks import Check
from suite.findings import findings
from suite.paths import LOGS, ROOT, tool_environment

GRACE_SECONDS = 20


@dataclass(frozen=True)
class Result:
    """How a check ended."""

    check: Check
    seconds: float
    passed: int
    failed: int
    log: Path


class Runner:
    """Starts commands as process groups of their own, so that an interrupt can end all of each."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.results: list[Result] = []
        self._running: dict[str, tuple[Check, subprocess.Popen[bytes]]] = {}
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, checks: list[Check]) -> bool:
        """Run all of them, at most `jobs` at a time; true when all succeeded."""
        LOGS.mkdir(parents=True, exist_ok=True)
        before = len(self.results)
        with ThreadPoolExecutor(self.jobs) as pool:
            pending = {pool.submit(self._run_one, check) for check in checks}
            try:
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        future.result()
            except BaseException:
                self._stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return not any(result.failed for result in self.results[before:])

    def _run_one(self, check: Check) -> None:
        if self._stopped:
            return
        log = LOGS / f"{check.name}.log"
        print(f"  start   {check.name}", flush=True)
        started = time.monotonic()
        with log.open("wb") as stream:
            process = subprocess.Popen(
                check.command,
                cwd=ROOT,
                env=tool_environment(**check.environment),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            with self._lock:
                self._running[check.name] = (check, process)
            code = process.wait()
        if self._stopped:
            return
        with self._lock:
            del self._running[check.name]
            self._record(check, code, time.monotonic() - started, log)

    def _record(self, check: Check, code: int, seconds: float, log: Path) -> None:
        output = log.read_text(encoding="utf-8", errors="replace")
        passed, failed = check.count(output, code == 0)
        self.results.append(Result(check, seconds, passed, failed, log))
        if not failed:
            print(f"  {'ready ' if check.is_preparation else 'passed'}  {check.name}  {seconds:.0f} s", flush=True)
            return
        print(f"  FAILED  {check.name}  {seconds:.0f} s, of {log.relative_to(ROOT)}:", flush=True)
        for line in findings(output):
            print(f"    {line}")

    def _stop(self) -> None:
        """End what runs, then let each interrupted check clean up after itself."""
        self._stopped = True
        with self._lock:
            running = list(self._running.values())
        for _check, process in running:
            _signal(process, signal.SIGINT)
        deadline = time.monotonic() + GRACE_SECONDS
        for _check, process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            _signal(process, signal.SIGKILL)
        for check, _process in running:
            if check.undo:
                print(f"  undo    {check.name}", flush=True)
                subprocess.run(check.undo, cwd=ROOT, env=tool_environment(**check.environment), capture_output=True, check=False)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
