# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The EC2 keys of one user on Keystone, by the API that `openstack ec2 credentials` uses.

Not by /v3/credentials, which is what openstacksdk offers: Keystone closes it to delegated logins.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_login import Login
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError, LostAnswerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import TRANSIENT, NoAnswerError, Reply

# of these, nothing was made
REFUSED_FOR_NOW = (409, 429)
DELEGATED = ("delegated token", "application_credential", "application credential")


class Sender(t.Protocol):
    """What is needed of a transport."""

    def call(self, method: str, path: str, body: dict[str, t.Any] | None = None) -> Reply:
        """One request."""


@dataclasses.dataclass(frozen=True)
class Key:
    """An EC2 key; its secret is left out of what is printed."""

    access: str
    secret: str = dataclasses.field(repr=False)
    project_id: str = ""
    user_id: str = ""
    trust_id: str = ""

    @classmethod
    def from_json(cls, found: dict[str, t.Any]) -> Key:
        """From Keystone's words."""
        return cls(found["access"], found["secret"], found.get("tenant_id") or "", found.get("user_id") or "", found.get("trust_id") or "")


class Keystone:
    """The keys of the user who is logged in, in the project of the login."""

    def __init__(self, transport: Sender, login: Login, patience: Patience) -> None:
        self.transport, self.login, self.patience = transport, login, patience
        self.path = f"/users/{login.user_id}/credentials/OS-EC2"

    def refusal(self, reply: Reply) -> CloudError:
        """What an answer means that no other try would change."""
        said = f"status {reply.status}" + (f": {reply.message}" if reply.message else "")
        if reply.status == 403 and "additional credentials, maximum" in reply.message:
            return CloudError("quota", said)
        if reply.status == 403 and (self.login.is_application_credential or any(word in reply.message.lower() for word in DELEGATED)):
            helps = self.login.restricted is not False and "delegated token" not in reply.message.lower()
            hint = "" if helps else "; this cloud seems to refuse unrestricted ones, too"
            return CloudError("delegated", said, unrestricted=hint)
        reasons = {401: "login_expired", 403: "forbidden", 404: "no_s3", 410: "no_s3", 501: "no_s3"}
        return CloudError(reasons.get(reply.status, "unavailable"), said)

    def ask(self, method: str, path: str) -> Reply:
        """A request that may be repeated, until an answer is final.

        Raises:
            CloudError: none came in time.
        """
        patience = self.patience.fresh()
        while True:
            try:
                reply = self.transport.call(method, path)
                if reply.status not in TRANSIENT:
                    return reply
                problem, least = self.refusal(reply).detail, reply.retry_after
            except NoAnswerError as error:
                problem, least = str(error), 0.0
            if not patience.again(least):
                raise CloudError("unavailable", problem)

    def keys(self) -> dict[str, Key]:
        """Every key, by its access.

        Raises:
            CloudError: they may not be listed.
        """
        reply = self.ask("GET", self.path)
        if reply.status != 200 or "credentials" not in reply.body:
            raise self.refusal(reply)
        found = [Key.from_json(item) for item in reply.body["credentials"]]
        return {key.access: key for key in found if key.project_id == self.login.project_id}

    def create(self) -> Key:
        """A new key.

        Raises:
            CloudError: refused.
            LostAnswerError: it may have been made.
        """
        patience = self.patience.fresh()
        while True:
            try:
                reply = self.transport.call("POST", self.path, {"tenant_id": self.login.project_id})
            except NoAnswerError as error:
                raise LostAnswerError(str(error)) from error
            if reply.status in REFUSED_FOR_NOW and patience.again(reply.retry_after):
                continue
            if reply.status in (200, 201):
                try:
                    return Key.from_json(reply.body["credential"])
                except KeyError as error:
                    raise LostAnswerError(f"status {reply.status} without {error}") from error
            if reply.status in TRANSIENT and reply.status not in REFUSED_FOR_NOW:
                raise LostAnswerError(self.refusal(reply).detail)
            raise self.refusal(reply)

    def delete(self, access: str) -> None:
        """Delete a key; one that is gone already is no error.

        Raises:
            CloudError: refused.
        """
        reply = self.ask("DELETE", f"{self.path}/{access}")
        if reply.status not in (200, 202, 204) and access in self.keys():
            raise self.refusal(reply)

    def application_credential_end(self) -> tuple[str | None, bool]:
        """When the application credential of the login ends (null: never), and whether that is known."""
        name = self.login.application_credential.get("id")
        if not name:
            return None, not self.login.is_application_credential
        try:
            reply = self.ask("GET", f"/users/{self.login.user_id}/application_credentials/{name}")
        except CloudError:
            return None, False
        found = reply.body.get("application_credential")
        if reply.status != 200 or not isinstance(found, dict) or "expires_at" not in found:
            return None, False
        return found["expires_at"], True
