# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2 keys of one site: carries out a plan, and leaves no key behind that nobody knows of."""

from __future__ import annotations

import datetime

from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_plan import CHANGING, Planner, Step
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_record import Record
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_store import Store
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_keys import Key, Keystone
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError, LostAnswerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import StoreError

GRACE_SECONDS = 30


def now() -> str:
    """This second, UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Keeper:
    """Carries out steps; after each one the record says how far it came."""

    def __init__(self, keystone: Keystone, store: Store, record: Record, planner: Planner) -> None:
        self.keystone, self.store, self.record, self.planner = keystone, store, record, planner
        self.done: list[str] = []
        self.warnings: list[str] = []

    def run(self, steps: list[Step], check_mode: bool) -> None:
        """Do the steps, or in check mode those that change nothing.

        Raises:
            CloudError: a step failed.
            StoreError: the store cannot be used.
        """
        if any(verb in ("create", "take", "adopt") for verb, _access in steps):
            self.store.check()
        for verb, access in steps:
            if verb == "check":
                self.check(access)
            elif not check_mode:
                getattr(self, verb)(access)
            if verb in CHANGING:
                self.done.append(f"{verb} {access}".strip())

    def keep(self) -> None:
        """Write the record; without anything in it there is none."""
        if self.record.recorded() or "creating" in self.record.data:
            self.record.save()
        else:
            self.record.remove()

    def secret(self, access: str) -> str:
        """Secret of a key, from the record or from Keystone."""
        for place in (self.record.data, self.record.data.get("previous") or {}):
            if place.get("access_key") == access and place.get("secret_key"):
                return str(place["secret_key"])
        return self.planner.keys()[access].secret

    def check(self, access: str) -> None:
        """The store has to accept it."""
        self.store.until_accepted(Key(access, self.secret(access)))

    def settle(self, _access: str) -> None:
        """Nothing came of an interrupted creation."""
        self.record.data.pop("creating", None)
        self.keep()

    def note(self, _access: str) -> None:
        """Record where the store is."""
        self.record.data.update(s3_endpoint=self.store.endpoint, s3_region=self.store.region, verified_at=now())
        self.record.save()

    def adopt(self, access: str) -> None:
        """Use a key that is on Keystone."""
        key = self.planner.keys()[access]
        self.store.until_accepted(key)
        self.use(key)

    def take(self, access: str) -> None:
        """Use a new key, if the store accepts it; else delete it again."""
        key = self.planner.keys()[access]
        try:
            self.store.until_accepted(key)
        except (CloudError, StoreError) as error:
            after = f"The new key {access} was deleted again."
            try:
                self.store.patience.grace(GRACE_SECONDS)
                self.keystone.delete(access)
                self.record.data.pop("candidate", None)
                self.keep()
            except CloudError as second:
                what = "the next run tries it again" if self.record.path else f"run with state=absent and access_key={access}"
                after = f"The new key {access} could not be deleted ({second}): {what}."
            if isinstance(error, StoreError):
                error = CloudError("verification", str(error))
            error.after = after
            raise error from None
        self.use(key)

    def use(self, key: Key) -> None:
        """Record a verified key as the one in use, the one before it as the previous one."""
        data, login = self.record.data, self.planner.login
        before = {name: data.get(name) for name in ("access_key", "secret_key", "user_id", "created_at", "created_by")}
        earlier = data.get("previous") or {}
        if before["access_key"] and before["access_key"] != key.access and self.planner.on_keystone():
            data["previous"] = before
        elif earlier.get("access_key") == key.access:
            data.pop("previous")
        made = next((found for found in (data.get("candidate") or {}, earlier) if found.get("access_key") == key.access), {})
        if self.record.access("candidate") == key.access:
            data.pop("candidate")
        data.pop("creating", None)
        if before["access_key"] != key.access:
            data.update(created_at=made.get("created_at"), created_by=made.get("created_by"))
        data.update(
            access_key=key.access,
            secret_key=key.secret,
            user_id=key.user_id or login.user_id,
            project_id=login.project_id,
            project_name=login.project_name,
            auth_url=login.url,
            s3_endpoint=self.store.endpoint,
            s3_region=self.store.region,
            verified_at=now(),
        )
        self.record.save()

    def create(self, _access: str) -> None:
        """Make a key, and use it."""
        key = self.make()
        self.planner.keys()[key.access] = key
        made = {"access_key": key.access, "user_id": key.user_id, "created_at": now(), "created_by": self.planner.login.user_name}
        self.record.data["candidate"] = made
        self.record.data.pop("creating", None)
        try:
            self.record.save()
        except CloudError as error:
            # nothing would remember it
            self.keystone.delete(key.access)
            error.after = f"The new key {key.access} was deleted again."
            raise
        self.take(key.access)

    def make(self) -> Key:
        """One new key, also where answers get lost; never a second one while it is open whether there is a first."""
        known = set(self.planner.keys())
        self.record.data["creating"] = {"since": now(), "known": sorted(known)}
        self.record.data.setdefault("project_id", self.planner.login.project_id)
        self.record.save()
        lost, patience = "", self.keystone.patience.fresh()
        while True:
            try:
                key = self.keystone.create()
                break
            except LostAnswerError as error:
                lost = str(error)
            except CloudError:
                self.record.data.pop("creating")
                self.keep()
                raise
            found = sorted(set(self.keystone.keys()) - known)
            if found:
                raise CloudError("create_unclear", f"{', '.join(found)} ({lost})")
            if not patience.again():
                raise CloudError("unavailable", lost)
        if lost:
            extra = sorted(set(self.keystone.keys()) - known - {key.access})
            if extra:
                text = "Answers of Keystone got lost, and besides the new key there is now {}. If nobody else made it, delete it: state=absent with access_key."
                self.warnings.append(text.format(", ".join(extra)))
        return key

    def delete(self, access: str) -> None:
        """Delete a key on Keystone."""
        self.keystone.delete(access)

    def forget(self, access: str) -> None:
        """Take a key that is gone out of the record."""
        data = self.record.data
        for which in ("previous", "candidate"):
            if self.record.access(which) == access:
                data.pop(which)
        if self.record.access() == access:
            for name in ("access_key", "secret_key"):
                data.pop(name, None)
        self.keep()

    def remove(self, _access: str) -> None:
        """Delete the record."""
        self.record.remove()
