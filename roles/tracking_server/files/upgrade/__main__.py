# SPDX-License-Identifier: GPL-3.0-or-later
"""usage: upgrade gate FOLDER UNIT | recover FOLDER | inspect|rehearse|switch|rollback REQUEST

Upgrade of an MLflow instance and the way back, on its machine, as root. `rehearse` does everything on copies while the old version serves.
`switch` holds the service in its start, migrates a copy of the databases, gives it their names, and lets the new release start. `gate` is
that start: it waits, and takes back what a `switch` that died has left. REQUEST is a file with JSON, FOLDER the one with the journal.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import records
from catalogue import SchemaError
from cluster import Cluster, ClusterError
from journal import START, Journal, Lock, now, write_json
from rehearsal import RefusedError, Rehearsal, next_names
from release import Release, ReleaseError
from switch import Switch
from units import Service, UnitError

EXIT_SKIP, EXIT_FAILED = 1, 255  # of an ExecCondition: do not start; failed, try again


def say(text: str) -> None:
    """Into the journal of systemd."""
    print(text, flush=True)


class Program:
    """One request."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.folder = Path(request["state_dir"], "upgrade")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.journal, self.lock = Journal(self.folder), Lock(request["lock"])
        self.cluster = Cluster(request["admin"], request["owner"])

    def switcher(self) -> Switch:
        """For the journal as it is."""
        return Switch(self.request, self.journal, self.lock, say)

    def inspect(self) -> dict[str, Any]:
        """State of the databases for the release, and what can be taken back."""
        found = records.load(self.folder)
        result: dict[str, Any] = {"unfinished": not self.journal.is_final, "records": found, "rollback": {}}
        if Path(self.request["program_dir"], "releases", self.request["release"]).is_dir():
            result["schema"] = Release(self.request, self.request["release"]).database("inspect", self.request["databases"])
        candidates = [record for record in found if "rolled_back" not in record]
        if candidates:
            problem = records.usable(candidates[0], self.cluster.databases(), self.request["program_dir"])
            result["rollback"] = {"record": candidates[0], "problem": problem}
            try:
                result["rollback"]["lost"] = records.losses(self.cluster, candidates[0])
            except (ValueError, ClusterError) as error:
                result["rollback"]["problem"] = problem or str(error)
        return result

    def rehearse(self) -> dict[str, Any]:
        """Everything on copies; what is long stays in the file."""
        return {key: value for key, value in Rehearsal(self.request, say).run().items() if key != "catalogues"}

    def switch(self) -> dict[str, Any]:
        """What was rehearsed, now for real."""
        rehearsed = json.loads((self.folder / self.request["id"] / "rehearsal.json").read_text())
        copies = next_names(self.request) if rehearsed["schema_changes"] else {}
        swaps = [
            {"name": name, "incoming": copies[key], "outgoing": f"{name}_{self.request['id']}"} for key, name in self.request["databases"].items() if copies
        ]
        begin = {"kind": "upgrade", "id": self.request["id"], "from": self.request["running"], "to": self.request["release"], "swaps": swaps}
        done = self.perform({**begin, "before": self.request["serving"], "after": self.request["unit"]}, copies, rehearsed)
        record = {key: done[key] for key in (*begin, "before", "after", "downtime_seconds", "mark", "rows", "rows_changed", "schema_extra") if key in done}
        record |= {"at": now(), "system": self.cluster.system(), "dumps": rehearsed["dumps"], "schema_changes": rehearsed["schema_changes"]}
        record |= {"rehearsal_seconds": rehearsed["seconds"], "schema": rehearsed["schema"]}
        records.save(self.folder, record)
        return {"record": record, "expired": records.expire(self.folder, self.cluster, self.request["keep"], self.request["keep_days"])}

    def rollback(self) -> dict[str, Any]:
        """Back to what the newest upgrade keeps; what it had made is kept aside."""
        record = next(record for record in records.load(self.folder) if "rolled_back" not in record)
        swaps = [{"name": swap["name"], "incoming": swap["outgoing"], "outgoing": f"{swap['name']}_{self.request['id']}"} for swap in record["swaps"]]
        begin = {"kind": "rollback", "id": self.request["id"], "from": record["to"], "to": record["from"], "swaps": swaps}
        done = self.perform({**begin, "before": record["after"], "after": record["before"]}, {}, {})
        record["rolled_back"] = {"at": now(), "swaps": swaps, "downtime_seconds": done["downtime_seconds"]}
        records.save(self.folder, record)
        return {"record": record}

    def perform(self, data: dict[str, Any], copies: dict[str, str], rehearsed: dict[str, Any]) -> dict[str, Any]:
        """One switch, under the lock; the journal at its end."""
        try:
            with self.lock.hold():
                if not self.journal.read().is_final:
                    self.switcher().recover(hold=True)
                self.journal.begin({**data, "request": self.request})
                self.switcher().run(copies, rehearsed)
        except BaseException:
            self.settle()
            raise
        return self.journal.data

    def recover(self) -> None:
        """After a switch that died: whoever comes first, this or the gate of the service, takes back what it has left."""
        if not self.journal.read().is_final:
            with self.lock.hold():
                if not self.journal.read().is_final:
                    self.switcher().recover(hold=True)
            self.settle()

    def settle(self) -> None:
        """The lock is free, the old version starts: wait for it, then leave nothing behind."""
        service = Service(self.journal.data["before"], self.request["gate"])
        service.wait(self.request["start_seconds"])
        service.forget()
        if copies := [swap["incoming"] for swap in self.journal.data["swaps"] if self.journal.data["kind"] == "upgrade"]:
            self.cluster.drop(*copies)


def gate(folder: str, unit: str) -> int:
    """In the start of a service, after everything else of it has stopped."""
    journal = Journal(Path(folder))
    if not journal.data:
        return 0
    request = journal.data["request"]
    with Lock(request["lock"]).hold_unless(journal, START) as held:
        if held and not journal.is_final:
            Switch(request, journal, Lock(request["lock"]), say).recover(hold=False)
        if held:
            Service(unit, "").drop_in.unlink(missing_ok=True)
        return EXIT_SKIP if journal.step in (START, "done") and unit != journal.data["after"] else 0


def answer(request: dict[str, Any], action: str) -> int:
    """Do it, and write what came out where the playbook looks."""
    try:
        result = {"ok": True, "result": getattr(Program(request), action)()}
    except (RefusedError, ReleaseError, SchemaError, ClusterError, UnitError, OSError, KeyError, ValueError) as error:
        result = {"ok": False, "error": f"{error}" if str(error) else repr(error)}
    except SystemExit:
        result = {"ok": False, "error": "it was stopped"}
    except Exception as error:
        result = {"ok": False, "error": repr(error)}
        raise
    finally:
        write_json(Path(request["result"]), {**result, "id": request["id"], "action": action})
    return 0 if result["ok"] else 1


def main(action: str, place: str, *rest: str) -> int:
    """Returns the exit code."""
    signal.signal(signal.SIGTERM, lambda *_arguments: sys.exit(EXIT_SKIP))
    if action == "gate":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return gate(place, *rest)
    if action == "recover":
        if request := Journal(Path(place)).data.get("request"):
            Program(request).recover()
        return 0
    return answer(json.loads(Path(place).read_text()), action)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
