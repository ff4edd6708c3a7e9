# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done to have the key that is wanted. One plan for check mode and for the real run."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_record import Record
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_keys import Key
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_login import Login
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError

Step = tuple[str, str]
# steps: check KEY (try it), note (where the store is), adopt KEY, take KEY (a candidate), create, delete KEY, forget KEY, remove (the file),
# settle (nothing came of an interrupted creation)
CHANGING = ("note", "adopt", "take", "create", "delete", "forget", "remove", "settle")
CLOSING = ("adopt", "take", "create", "remove")


@dataclasses.dataclass
class Planner:
    """Plans from the record, the keys on Keystone (null: this login may not list them), and what is wanted; `where` is endpoint and region."""

    record: Record
    login: Login
    listed: dict[str, Key] | None
    refused: CloudError | None = None
    access_key: str = ""
    foreign: t.Sequence[str] = ()
    where: tuple[str, str] = ("", "")

    def keys(self) -> dict[str, Key]:
        """The keys on Keystone.

        Raises:
            CloudError: this login may not list them.
        """
        if self.listed is None:
            raise self.refused or CloudError("delegated")
        return self.listed

    def on_keystone(self, which: str = "") -> bool:
        """Whether a key of the record still exists, as far as this login can know: those of another user are in that user's list."""
        access = self.record.access(which)
        if not access or self.listed is None or access in self.listed:
            return bool(access)
        return self.record.owner(which) not in ("", self.login.user_id)

    def appeared(self) -> list[str]:
        """Keys that came up since an interrupted creation and belong to nobody that is known."""
        creating = self.record.data.get("creating")
        if not creating or self.listed is None:
            return []
        return sorted(set(self.listed) - set(creating.get("known", [])) - self.record.recorded() - {self.access_key, *self.foreign})

    def plan(self, state: str) -> list[Step]:
        """Steps in their order.

        Raises:
            CloudError: it cannot be done, or it is not clear whose a key is.
        """
        recorded = self.record.data.get("project_id")
        if recorded and recorded != self.login.project_id:
            raise CloudError("wrong_project", f"{recorded}; the login is for {self.login.project_id}")
        if self.appeared() and not (state == "absent" and self.access_key):
            raise CloudError("create_unclear", ", ".join(self.appeared()))
        steps: list[Step] = getattr(self, state)()
        if self.record.data.get("creating") and self.listed is not None and not self.appeared() and not any(verb in CLOSING for verb, _access in steps):
            steps.append(("settle", ""))
        return steps

    def present(self) -> list[Step]:
        """A key that works, the recorded one where it still exists."""
        current = self.record.access()
        if self.access_key and self.access_key != current:
            return self.adopt()
        if not self.on_keystone():
            return self.new()
        stale = self.listed is not None and current in self.listed and self.listed[current].secret != self.record.data.get("secret_key")
        if stale:
            return [("adopt", current)]
        moved = self.where != (self.record.data.get("s3_endpoint"), self.record.data.get("s3_region"))
        return [("check", current), ("note", "")] if moved else [("check", current)]

    def adopt(self) -> list[Step]:
        """Use the key that is named."""
        if not self.record.path:
            return [("check", self.access_key)] if self.access_key in self.keys() else self.new()
        if self.access_key not in self.keys():
            raise CloudError("adopt", known=", ".join(sorted(self.keys())) or "none")
        previous = self.record.access("previous")
        if self.on_keystone() and previous not in ("", self.access_key):
            raise CloudError("rotating", previous)
        return [("adopt", self.access_key)]

    def new(self) -> list[Step]:
        """A key that was made and not yet verified, or one that has to be made."""
        candidate = self.record.access("candidate")
        if candidate in self.keys():
            return [("take", candidate)]
        if self.on_keystone("candidate"):
            raise CloudError("other_user", f"{candidate} (user {self.record.owner('candidate')})")
        return [("create", "")]

    def rotated(self) -> list[Step]:
        """A new key beside the one in use; the same again while the earlier one is recorded."""
        if not self.on_keystone() or self.record.access("previous") or self.access_key not in ("", self.record.access()):
            return self.present()
        return [("check", self.record.access()), *self.new()]

    def retired(self) -> list[Step]:
        """Only the key in use is left. It has to work before the earlier one goes."""
        previous = self.record.access("previous")
        if not previous:
            return []
        return [("check", self.record.access()), *self.gone("previous")]

    def gone(self, which: str) -> list[Step]:
        """Delete a recorded key."""
        access = self.record.access(which)
        if access in self.keys():
            return [("delete", access), ("forget", access)]
        if self.on_keystone(which):
            raise CloudError("other_user", f"{access} (user {self.record.owner(which)})")
        return [("forget", access)]

    def absent(self) -> list[Step]:
        """No recorded key; with a key named, that one alone."""
        if self.access_key:
            steps = [("delete", self.access_key)] if self.access_key in self.keys() else []
            recorded = self.record.recorded()
            if self.access_key in recorded:
                steps += [("remove", "")] if recorded == {self.access_key} and not self.appeared() else [("forget", self.access_key)]
            return steps
        steps = [step for which in ("candidate", "previous", "") if self.record.access(which) for step in self.gone(which)]
        return [step for step in steps if step[0] == "delete"] + [("remove", "")] if self.record.data else []

    def preview(self, steps: list[Step]) -> dict[str, str]:
        """What the record will show after the steps."""
        found = self.record.view()
        for verb, access in steps:
            if verb in ("create", "take", "adopt"):
                after = {"access_key": access or "(new)", "previous_access_key": found["previous_access_key"]}
                if access != found["access_key"]:
                    after["previous_access_key"] = found["access_key"] if self.on_keystone() else found["previous_access_key"]
                found = after
            elif verb == "remove":
                found = dict.fromkeys(found, "")
            elif verb == "forget":
                found = {name: "" if value == access else value for name, value in found.items()}
        return found
