# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults while a client writes: what the client saw, how long it took, what of the acknowledged was lost."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from . import client
from .engine import LABEL, NETWORK, ROOT
from .site import Site

LANES = {"metrics": "metadata", "objects": "artifacts"}  # those that nobody repeats
PATIENT = ("runs", "files")
RECOVERY_SECONDS = 300
READ_SECONDS = 60
STEADY = 3  # acknowledged requests in a row that end an outage
IMAGE = "labtrack/debian13"
REPORT = ROOT / ".labtrack" / "faults"


def wait(condition: Callable[[], object], seconds: float, what: str) -> object:
    """What the condition returned when it was no longer false.

    Raises:
        AssertionError: it was false all the time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


def sentence_of(error: str) -> str:
    """The message of an answer that a single request got, which must be a 503 of MLflow's form."""
    status, _blank, body = error.removeprefix("OSError: ").partition(" ")
    answer = json.loads(body)
    assert (status, answer["error_code"]) == ("503", "TEMPORARILY_UNAVAILABLE"), error
    return answer["message"]


class Machine:
    """A container, as its administrator at the console sees it."""

    def __init__(self, name: str) -> None:
        self.name, self.address = name, ""

    def run(self, command: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """What a shell of root does."""
        return subprocess.run(["docker", "exec", "-i", self.name, "sh", "-c", command], capture_output=True, text=True, check=False, timeout=seconds)

    def sh(self, command: str, seconds: float = 120) -> str:
        """The same, which must succeed; its output."""
        done = self.run(command, seconds)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def journal(self, unit: str, since: float) -> str:
        """What a unit said since a time."""
        return self.sh(f"journalctl --no-pager -o cat --since @{int(since)} -u {unit}")

    def active(self, *units: str) -> bool:
        """Whether all run."""
        return self.run(f"systemctl is-active --quiet {' '.join(units)}").returncode == 0

    def power_off(self) -> None:
        """No process hears of it."""
        self.address = self._address()
        subprocess.run(["docker", "kill", self.name], check=True, capture_output=True)

    def power_on(self) -> None:
        """Boot, with the same address. Docker gives the lowest that is free: those below are taken until it is ours."""
        holders = []
        try:
            self._docker("start", self.name)
            while self._address() != self.address and len(holders) < 30:
                self._docker("kill", self.name)
                holders.append(self._docker("run", "--detach", "--rm", "--label", f"{LABEL}=test", "--network", NETWORK, IMAGE, "sleep", "300"))
                self._docker("start", self.name)
            assert self._address() == self.address, "the machine's address is taken"
        finally:
            for holder in holders:
                self._docker("kill", holder)

    @staticmethod
    def _docker(*words: str) -> str:
        return subprocess.run(["docker", *words], check=True, capture_output=True, text=True).stdout.strip()

    def _address(self) -> str:
        return self._docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", self.name)


class SmallDisk:
    """Directories of a machine on a disk of their own, which can be filled: `with SmallDisk(machine, "postgresql@17-labtrack", 300, "/var/lib/labtrack")`.

    A container has no block devices: the disk is a tmpfs, whose writes fail for want of space as they do on a real one.

    Args:
        units: they are stopped while their files move there and back.
        megabytes: space that is left on it before it is filled.
        paths: the directories.
    """

    def __init__(self, machine: Machine, units: str, megabytes: int, *paths: str) -> None:
        self.machine, self.units, self.megabytes, self.paths = machine, units, megabytes, paths

    def __enter__(self) -> SmallDisk:
        moves = "".join(f"mkdir -p /mnt/small{path} && cp -a {path}/. /mnt/small{path}/ && mount --bind /mnt/small{path} {path} && " for path in self.paths)
        size = f"$(($(du -cm {' '.join(self.paths)} | tail -n 1 | cut -f 1) + {self.megabytes}))"
        mount = f"mkdir -p /mnt/small && mount -t tmpfs -o size={size}m,mode=755 small /mnt/small"
        self.machine.sh(f"systemctl stop {self.units} && {mount} && {moves} systemctl start {self.units}")
        return self

    def fill(self) -> None:
        """Leave not a byte."""
        self.machine.run("dd if=/dev/zero of=/mnt/small/filler bs=64k 2>/dev/null; dd if=/dev/zero of=/mnt/small/filler2 bs=1 count=65536 2>/dev/null")
        free = self.machine.sh("stat -f -c %a /mnt/small")
        assert free == "0", free

    def free(self) -> None:
        """What an administrator does."""
        self.machine.sh("rm -f /mnt/small/filler /mnt/small/filler2")

    def __exit__(self, *_error: object) -> None:
        self.free()
        back = "".join(f"umount {path} && find {path} -mindepth 1 -delete && cp -a /mnt/small{path}/. {path}/ && " for path in self.paths)
        self.machine.sh(f"systemctl stop {self.units}; {back} umount /mnt/small && systemctl start {self.units}")


@dataclasses.dataclass
class Row:
    """A line of the table."""

    fault: str
    seen: str = ""
    seconds_failing: dict[str, float] = dataclasses.field(default_factory=dict)
    seconds_to_recovery: float | None = None
    recovery: str = ""
    says: str = ""
    acknowledged: int = 0
    lost: int = 0


class Lab:
    """The writing client, its journal, and the table."""

    def __init__(self, site: Site, folder: Path, name: str) -> None:
        self.site, self.name = site, name
        self.path = folder / "journal.jsonl"
        self.rows: list[Row] = []
        self._file, self._lines, self._rest = None, [], ""
        self._process: subprocess.Popen | None = None
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(site.ca_file)))
        )

    def start(self) -> None:
        """Begin to write; returns when all lanes have."""
        self.path.touch()
        self._file = self.path.open(encoding="utf-8")
        writer = ROOT / "script" / "testbed" / "lab_writer.py"
        self._process = subprocess.Popen(
            [client.python(), writer, str(self.path)], env=self.site.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        wait(lambda: self._process.poll() is not None or self.lanes_working(0, [*LANES, *PATIENT]), 600, "the client has begun to write")
        assert self._process.poll() is None, self._process.stderr.read()

    def stop(self) -> None:
        """End, whatever the client is waiting for."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def lines(self) -> list[dict]:
        """The journal until now."""
        text = self._rest + self._file.read()
        *whole, self._rest = text.split("\n")
        self._lines += [json.loads(line) for line in whole]
        return self._lines

    def since(self, moment: float, lane: str) -> list[dict]:
        """What a lane began after a moment."""
        return [line for line in self.lines() if line["begun"] >= moment and line["lane"] == lane]

    def lanes_working(self, moment: float, lanes: list[str], steady: int = 1) -> bool:
        """Whether each of the lanes has succeeded with its last requests since then."""
        found = [self.since(moment, lane)[-steady:] for lane in lanes]
        return all(len(lines) == steady and not any("error" in line for line in lines) for lines in found)

    def get(self, path: str, body: bytes | None = None, anonymous: bool = False, method: str | None = None) -> bytes:
        """An answer to the administrator, or to nobody."""
        login = base64.b64encode(f"{self.site.user}:{self.site.password}".encode()).decode()
        headers = {"Content-Type": "application/json", **({} if anonymous else {"Authorization": f"Basic {login}"})}
        with self._opener.open(urllib.request.Request(f"https://{self.site.address}{path}", body, headers, method=method), timeout=120) as answer:
            return answer.read()

    def artifact_place(self) -> str:
        """Where artifacts of a new run belong."""
        run = json.loads(self.get("/api/2.0/mlflow/runs/create", b'{"experiment_id": "0"}'))["run"]["info"]
        return "/api/2.0/mlflow-artifacts/artifacts/" + run["artifact_uri"].removeprefix("mlflow-artifacts:/").lstrip("/")

    def put(self, path: str, body: bytes) -> tuple[int, str]:
        """Status and text of the answer to an upload."""
        try:
            return 200, self.get(path, body, method="PUT").decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")

    def status(self, path: str, body: bytes | None = None, anonymous: bool = False) -> int:
        """The status of an answer; 0 without one."""
        try:
            self.get(path, body, anonymous)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0
        return 200

    def read(self, path: str) -> bytes:
        """The same, for one who asks again when the server says that it is not ready: an answer that does not come is no loss."""
        end = time.monotonic() + READ_SECONDS
        while True:
            try:
                return self.get(path)
            except OSError as error:
                if (isinstance(error, urllib.error.HTTPError) and error.code < 500) or time.monotonic() > end:
                    raise
                time.sleep(1)

    def lost(self, lines: list[dict]) -> list[str]:
        """Reads everything back that these lines acknowledge; what is missing or differs."""
        good, missing, histories, runs = [line for line in lines if "error" not in line], [], {}, {}
        for run in dict.fromkeys(line["run"] for line in good):
            try:
                runs[run] = json.loads(self.read(f"/api/2.0/mlflow/runs/get?run_id={run}"))["run"]
            except urllib.error.HTTPError as error:
                missing.append(f"run {run}: {error.code} {error.read()[:200]!r}")
        for line in good:
            run = runs.get(line["run"])
            if run is None:
                continue
            for key, step, value in [*line.get("metrics", []), *([line["metric"]] if "metric" in line else [])]:
                if (line["run"], key) not in histories:
                    histories[line["run"], key] = self._history(line["run"], key)
                if (step, value) not in histories[line["run"], key]:
                    missing.append(f"metric {key} of {line['run']}, step {step}: {value}")
            if "param" in line and {"key": line["param"][0], "value": line["param"][1]} not in run["data"].get("params", []):
                missing.append(f"parameter {line['param']} of {line['run']}")
            if "status" in line and run["info"]["status"] != line["status"]:
                missing.append(f"status of {line['run']}: {run['info']['status']}")
            if "file" in line and (found := self._sha256(run, line["file"])) != line["sha256"]:
                missing.append(f"artifact {line['file']} of {line['run']}: {found}")
        return missing

    def _history(self, run: str, key: str) -> set[tuple[int, float]]:
        points, token = [], ""
        while True:
            page = json.loads(self.read(f"/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key={key}&max_results=20000&page_token={token}"))
            points += page.get("metrics", [])
            if not (token := page.get("next_page_token", "")):
                return {(int(point.get("step", 0)), point["value"]) for point in points}

    def _sha256(self, run: dict, name: str) -> str:
        place = run["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/").lstrip("/")
        try:
            return hashlib.sha256(self.read(f"/api/2.0/mlflow-artifacts/artifacts/{place}/{name}")).hexdigest()
        except urllib.error.HTTPError as error:
            return f"{error.code} {error.read()[:200]!r}"


class Scene:
    """One fault: `with Scene(lab, "…") as scene`. At its end everything works again, and what was acknowledged is read back."""

    def __init__(self, lab: Lab, fault: str) -> None:
        self.lab, self.row = lab, Row(fault)
        self.entered = self.begun_at = self.over_at = 0.0

    def __enter__(self) -> Scene:
        self.entered = time.time()
        wait(lambda: self.lab.lanes_working(self.entered, list(LANES), STEADY), 180, "the client writes before the fault")
        self.begun()
        return self

    def begun(self) -> None:
        """The fault is made now."""
        self.begun_at = self.over_at = time.time()

    def over(self, who: str = "") -> None:
        """Its cause has gone now: who took it away."""
        self.over_at, self.row.recovery = time.time(), who

    def failure(self, lane: str, seconds: float = 180, wanted: str = "") -> str:
        """The text of a failed request of a lane since the fault began; with `wanted`, of one that has it."""

        def found() -> str:
            errors = [line["error"] for line in self.lab.since(self.begun_at, lane) if "error" in line and wanted in line["error"]]
            return errors[0] if errors else ""

        try:
            return wait(found, seconds, f"'{lane}' fails with '{wanted}'")
        except AssertionError as error:
            seen = Counter(line.get("error", "acknowledged")[:300] for line in self.lab.since(self.begun_at, lane))
            raise AssertionError(f"{error}; seen: {seen}") from None

    def works(self, lane: str, seconds: float = 180) -> None:
        """The lane is not concerned: requests that begin from now on succeed."""
        moment = time.time()
        wait(lambda: self.lab.lanes_working(moment, [lane], STEADY), seconds, f"'{lane}' works during the fault")

    def says(self, text: str) -> None:
        """What a person reads, and where."""
        self.row.says = " ".join(text.split())

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            self._recover()
            self._compare()

    def _recover(self) -> None:
        everything = [*LANES, *PATIENT]
        try:
            wait(lambda: self.lab.lanes_working(self.over_at, list(LANES), STEADY), RECOVERY_SECONDS, "recovery")
            # the client that repeats may still be waiting
            wait(lambda: self.lab.lanes_working(self.over_at - 240, everything), RECOVERY_SECONDS, "recovery of the patient client")
        except AssertionError as error:
            last = {lane: self.lab.since(self.begun_at, lane)[-1:] for lane in everything}
            raise AssertionError(f"{error}: {last}") from None
        self.row.seconds_to_recovery = round(max(self._first_good(lane) for lane in LANES) - self.over_at, 1)

    def _first_good(self, lane: str) -> float:
        """When the lane had its first acknowledgement after its last failure."""
        lines = self.lab.since(self.begun_at - 20, lane)
        last = max([self.over_at, *(line["time"] for line in lines if "error" in line)])
        return min(line["time"] for line in lines if line["time"] >= last and "error" not in line)

    def _compare(self) -> None:
        lines = [line for line in self.lab.lines() if line["time"] >= self.entered]
        now = time.time()
        for lane in LANES:
            bad = [line for line in lines if line["lane"] == lane and "error" in line]
            if bad:
                self.row.seconds_failing[LANES[lane]] = round(max(line["time"] for line in bad) - min(line["begun"] for line in bad), 1)
        self.row.seen = self._summary(lines)
        lost = self.lab.lost(lines)
        self.row.acknowledged, self.row.lost = sum("error" not in line for line in lines), len(lost)
        self.lab.rows.append(self.row)
        report(self.lab)
        assert not lost, f"{len(lost)} acknowledged writes are lost: {lost[:5]} (read at {now})"

    @staticmethod
    def _summary(lines: list[dict]) -> str:
        parts = []
        for lane, name in LANES.items():
            bad = Counter(line["error"].split("(")[0].split("{")[0].strip(": ")[:40] for line in lines if line["lane"] == lane and "error" in line)
            parts += [f"{name}: {count} x {what}" for what, count in bad.most_common(2)]
        raised = sum("error" in line for line in lines if line["lane"] in PATIENT)
        slowest = max((line["time"] - line["begun"] for line in lines if line["lane"] in PATIENT and "error" not in line), default=0)
        return "; ".join([*parts, f"MLflow's client: {raised} errors, slowest call {slowest:.0f} s"])


def table(rows: list[Row]) -> str:
    """The rows in Markdown."""
    head = ["fault", "what a client saw", "failing (s)", "back after (s)", "by", "what it says", "acknowledged", "lost"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        failing = ", ".join(f"{name} {seconds}" for name, seconds in row.seconds_failing.items()) or "0"
        cells = [row.fault, row.seen, failing, str(row.seconds_to_recovery), row.recovery or "itself", row.says or "—", str(row.acknowledged), str(row.lost)]
        lines.append([cell.replace("|", "\\|").replace("\n", " ") for cell in cells])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def report(lab: Lab) -> str:
    """Write the table beside the checkout's other results, as Markdown and as JSON."""
    REPORT.mkdir(parents=True, exist_ok=True)
    text = table(lab.rows)
    (REPORT / f"{lab.name}.md").write_text(text, encoding="utf-8")
    (REPORT / f"{lab.name}.json").write_text(json.dumps([dataclasses.asdict(row) for row in lab.rows], indent=1) + "\n", encoding="utf-8")
    return text
