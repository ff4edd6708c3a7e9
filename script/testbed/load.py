# SPDX-License-Identifier: GPL-3.0-or-later
"""People at work while something is changed: real HTTPS requests with a login, over kept connections, without any repetition.

A request counts as failed when its answer is not 2xx, or does not come. A kept connection that the server has closed *before* the next request was
sent is opened again. With `idle_may_close` a request that meets a connection that is just being closed is sent once more, as MLflow's client does
(urllib3, any method): nginx closes idle connections when it is reloaded (until its version 1.27.4 no setting prevents that), has not read the
request then, and the tests count the runs to see that nothing was done twice. At the end all acknowledged writes are read back.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import http.client
import json
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from .site import Site

SECONDS = 120  # MLflow's own client waits that long
PAYLOAD = os.urandom(300_000)


class Caller:
    """One kept connection."""

    def __init__(self, site: Site, user: str, password: str) -> None:
        self.site, self.connection = site, None
        self.login = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def _connected(self) -> http.client.HTTPSConnection:
        if self.connection and (self.connection.sock is None or select.select([self.connection.sock], [], [], 0)[0]):
            self.close()
        if not self.connection:
            context = ssl.create_default_context(cafile=str(self.site.ca_file))
            self.connection = http.client.HTTPSConnection(self.site.fqdn, timeout=SECONDS, context=context)
            plain = socket.create_connection((self.site.address, 443), timeout=SECONDS)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection.sock = context.wrap_socket(plain, server_hostname=self.site.fqdn)
        return self.connection

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        """Status and body of the answer; `body` is JSON unless it is bytes or an iterator with a `Content-Length`."""
        if isinstance(body, dict):
            body, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        try:
            connection = self._connected()
            connection.request(method, path, body, {"Authorization": self.login, **{name.replace("_", "-"): value for name, value in headers.items()}})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Forget the connection."""
        if self.connection:
            self.connection.close()
        self.connection = None


class Load:
    """`with Load(site, user, password) as load:` and then `load.check()`."""

    def __init__(self, site: Site, user: str, password: str, workers: int = 2, pause: float = 0.02, idle_may_close: bool = False) -> None:
        self.site, self.user, self.password, self.pause, self.idle_may_close = site, user, password, pause, idle_may_close
        self.runs = 0
        self.failures: list[str] = []
        self.counts: collections.Counter[str] = collections.Counter()
        self.longest: dict[str, float] = {}
        self.logged: dict[str, int] = {}
        self._end, self._lock = threading.Event(), threading.Lock()
        kinds: list[Callable[[Caller], Iterator[None]]] = [self._metrics, self._reads, self._artifacts, self._streams]
        self._threads = [threading.Thread(target=self._work, args=(kind,), daemon=True) for kind in kinds for _ in range(workers)]
        status, body = self.caller().ask("POST", "/api/2.0/mlflow/experiments/create", {"name": f"load-{os.urandom(6).hex()}"})
        assert status == 200, body
        self.experiment = json.loads(body)["experiment_id"]

    def caller(self) -> Caller:
        """A connection of the person who works."""
        return Caller(self.site, self.user, self.password)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let the last requests end."""
        self._end.set()
        for thread in self._threads:
            thread.join(SECONDS + 10)

    def total(self) -> int:
        """How many requests were answered."""
        return sum(self.counts.values())

    def wait_for(self, further: int, seconds: float = 60) -> None:
        """Until so many further requests are answered."""
        wanted, end = self.total() + further, time.monotonic() + seconds
        while self.total() < wanted and not self.failures and time.monotonic() < end:
            time.sleep(0.05)

    def ask(self, caller: Caller, kind: str, method: str, path: str, body: Any = None, **headers: str) -> bytes | None:
        """A request that counts; None when it failed."""
        start, kept = time.monotonic(), caller.connection is not None
        try:
            try:
                status, answer = caller.ask(method, path, body, **headers)
            except (ConnectionError, http.client.RemoteDisconnected, ssl.SSLEOFError):  # the last: closed already when the request is written
                if not (kept and self.idle_may_close and time.monotonic() - start < 1):
                    raise
                self.counts["sent once more"] += 1
                status, answer = caller.ask(method, path, body, **headers)
            failure = "" if 200 <= status < 300 else f"{kind}: status {status}: {answer[:200]!r}"
        except (OSError, http.client.HTTPException) as error:
            answer, failure = None, f"{kind}: {type(error).__name__}: {error}"
        took = time.monotonic() - start
        with self._lock:
            self.counts[kind] += 1
            self.longest[kind] = max(self.longest.get(kind, 0.0), took)
            if failure:
                self.failures.append(f"{time.strftime('%H:%M:%S')} after {took:.1f} s {failure}")
        return None if failure else answer

    def _work(self, kind: Callable[[Caller], Iterator[None]]) -> None:
        with contextlib.closing(self.caller()) as caller:
            steps = kind(caller)
            while not self._end.is_set():
                next(steps)
                time.sleep(self.pause)

    def _run(self, caller: Caller) -> dict[str, Any]:
        while True:
            answer = self.ask(caller, "create a run", "POST", "/api/2.0/mlflow/runs/create", {"experiment_id": self.experiment, "start_time": 1})
            if answer:
                self.runs += 1
                return json.loads(answer)["run"]["info"]

    def _metrics(self, caller: Caller) -> Iterator[None]:
        run = self._run(caller)["run_id"]
        step = 0
        while True:
            point = {"run_id": run, "key": "loss", "value": step / 2, "timestamp": 1, "step": step}
            if self.ask(caller, "log a metric", "POST", "/api/2.0/mlflow/runs/log-metric", point):
                self.logged[run] = step = step + 1
            yield

    def _reads(self, caller: Caller) -> Iterator[None]:
        while True:
            self.ask(caller, "search runs", "POST", "/api/2.0/mlflow/runs/search", {"experiment_ids": [self.experiment], "max_results": 5})
            yield
            self.ask(caller, "read the experiment", "GET", f"/api/2.0/mlflow/experiments/get?experiment_id={self.experiment}")
            yield

    def _artifacts(self, caller: Caller) -> Iterator[None]:
        base = "/api/2.0/mlflow-artifacts/artifacts/" + self._run(caller)["artifact_uri"].partition(":/")[2]
        while True:
            if self.ask(caller, "upload", "PUT", f"{base}/payload.bin", PAYLOAD) is not None:
                yield
                back = self.ask(caller, "download", "GET", f"{base}/payload.bin")
                if back is not None and back != PAYLOAD:
                    self.failures.append("download: the content differs")
            yield

    def _streams(self, caller: Caller) -> Iterator[None]:
        """What the streaming application serves: a POST that nothing may repeat."""
        place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": self.experiment}}
        while True:
            self.ask(caller, "search traces", "POST", "/api/3.0/mlflow/traces/search", {"locations": [place], "max_results": 1})
            yield

    def slow_upload(self, seconds: float, megabytes: int = 8) -> threading.Thread:
        """Begin an upload that takes so long; `join` it. It counts as the kind `slow upload`."""
        block = bytes(1 << 16)
        blocks = megabytes * 16

        def body() -> Iterator[bytes]:
            for _ in range(blocks):
                yield block
                time.sleep(seconds / blocks)

        def send() -> None:
            with contextlib.closing(self.caller()) as caller:
                base = "/api/2.0/mlflow-artifacts/artifacts/" + self._run(caller)["artifact_uri"].partition(":/")[2]
                self.ask(caller, "slow upload", "PUT", f"{base}/slow.bin", body(), Content_Length=str(len(block) * blocks))
                back = self.ask(caller, "download", "GET", f"{base}/slow.bin")
                if back is not None and back != block * blocks:
                    self.failures.append("slow upload: the content differs")

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        return thread

    def check(self, least: int = 50) -> str:
        """All were answered, and what was acknowledged is there; the figures in one line."""
        self.stop()
        assert not self.failures, f"{len(self.failures)} of {self.total()} requests failed:\n" + "\n".join(self.failures[:12])
        assert self.total() >= least, f"only {self.total()} requests"
        with contextlib.closing(self.caller()) as caller:
            for run, steps in self.logged.items():
                status, body = caller.ask("GET", f"/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key=loss&max_results=25000")
                found = [point["step"] for point in json.loads(body)["metrics"]] if status == 200 else []
                assert sorted(found) == list(range(steps)), f"run {run}: {steps} points were acknowledged, {len(found)} are there"
            status, body = caller.ask("POST", "/api/2.0/mlflow/runs/search", {"experiment_ids": [self.experiment], "max_results": 1000})
            assert len(json.loads(body)["runs"]) == self.runs, "a run was made twice, or is lost"
        kind = max(self.longest, key=lambda name: self.longest[name] if name != "slow upload" else 0)
        again = f", {self.counts['sent once more']} sent once more" if self.idle_may_close else ""
        return f"{self.total()} requests, 0 failed{again}, {sum(self.logged.values())} points read back, longest wait {self.longest[kind]:.1f} s ({kind})"
