# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the services of an OpenStack cloud, repeated where that helps, explained where it does not."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import NoAnswerError, Reply

Json = dict[str, t.Any]
AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)
NOT_MADE = (425, 429, 503)  # of these, nothing was made
CONFLICT_SECONDS = 60.0  # a conflict that lasts longer is no race
LONGEST_PAUSE = 3.0
QUOTA = re.compile(r"quota|maximum number of|exceeds? allowed|over ?limit", re.IGNORECASE)


def said(reply: Reply) -> str:
    """What a service says about an error: each wraps it in another way."""
    for found in (reply.body, *reply.body.values()):
        if isinstance(found, dict) and isinstance(found.get("message"), str):
            return f"status {reply.status}: {' '.join(found['message'].split())}"
        if isinstance(found, str) and found:
            return f"status {reply.status}: {found}"
    return f"status {reply.status}"


@dataclasses.dataclass(frozen=True)
class Access:
    """Who is logged in, and where."""

    project_id: str
    project_name: str = ""
    roles: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    expires_at: str = ""
    identity_url: str = ""
    region: str = ""


class RefusedError(Exception):
    """An answer that no other try would change."""

    def __init__(self, reply: Reply, what: str) -> None:
        super().__init__(said(reply))
        self.status, self.what, self.text = reply.status, what, said(reply)


class Cloud:
    """The services; `send(service, method, path, body)` makes one request."""

    def __init__(self, send: t.Callable[[str, str, str, Json | None], Reply], access: Access, patience: Patience) -> None:
        self.send, self.access, self.patience = send, access, patience
        self.unsure = False  # whether something may have been made twice

    @staticmethod
    def pause(patience: Patience, problem: str, least: float = 0.0) -> None:
        """Wait a little.

        Raises:
            ServerError: the time is over.
        """
        patience.pause = min(patience.pause, LONGEST_PAUSE)
        if not patience.again(least):
            raise ServerError("unavailable", problem)

    def _ask(self, service: str, method: str, path: str, body: Json | None, accepted: tuple[int, ...]) -> Reply:
        """A request that may be repeated, until an answer is final."""
        patience, started = self.patience.fresh(), self.patience.now()
        while True:
            try:
                reply = self.send(service, method, path, body)
            except NoAnswerError as error:
                self.pause(patience, f"{service}: {error}")
                continue
            if reply.status in accepted:
                return reply
            lasting = reply.status == 409 and (QUOTA.search(said(reply)) or patience.now() - started > CONFLICT_SECONDS)
            if reply.status not in AGAIN or lasting:
                raise self.refusal(service, f"{method} {path}", reply)
            self.pause(patience, f"{service}: {said(reply)}", reply.retry_after)

    @staticmethod
    def refusal(service: str, what: str, reply: Reply) -> Exception:
        """What a final answer means."""
        if reply.status in (403, 409, 413) and QUOTA.search(said(reply)):
            return ServerError("quota", f"{service} says {said(reply)}")
        if reply.status == 401:
            return ServerError("login_expired", said(reply))
        if reply.status == 403:
            return ServerError("forbidden", f"{service}, {what}: {said(reply)}")
        return RefusedError(reply, f"{service}, {what}")

    def get(self, service: str, path: str) -> Json | None:
        """One object, none where it does not exist."""
        reply = self._ask(service, "GET", path, None, (200, 203, 404))
        return None if reply.status == 404 else reply.body

    def pages(self, service: str, path: str, key: str) -> list[Json]:
        """A whole list."""
        found: list[Json] = []
        here = path
        while True:
            body = self._ask(service, "GET", here, None, (200, 203)).body
            page = body.get(key, [])
            found += page
            more = body.get("next") or [link for link in body.get(f"{key}_links", []) if link.get("rel") == "next"]
            if not more or not page or "id" not in page[-1]:
                return found
            here = f"{path}{'&' if '?' in path else '?'}marker={page[-1]['id']}"

    def create(self, service: str, path: str, body: Json, find: t.Callable[[], Json | None]) -> Json:
        """Make something. Where the answer is lost, `find` tells whether it was made; nothing is made twice."""
        patience, started = self.patience.fresh(), self.patience.now()
        (key,) = body
        while True:
            try:
                reply = self.send(service, "POST", path, body)
            except NoAnswerError as error:
                problem, least, lost = f"{service}: {error}", 0.0, True
            else:
                if reply.status in (200, 201, 202):
                    return reply.body.get(key, reply.body)
                lasting = reply.status == 409 and (QUOTA.search(said(reply)) or patience.now() - started > CONFLICT_SECONDS)
                if reply.status not in AGAIN or lasting:
                    raise self.refusal(service, f"POST {path}", reply)
                problem, least, lost = f"{service}: {said(reply)}", reply.retry_after, reply.status not in NOT_MADE
            found = find() if lost else None
            if found:
                return found
            self.unsure = self.unsure or lost
            self.pause(patience, problem, least)

    def act(self, service: str, path: str, body: Json, accepted: tuple[int, ...] = ()) -> Json:
        """Something that may be done twice."""
        return self._ask(service, "POST", path, body, (200, 201, 202, 204, *accepted)).body

    def put(self, service: str, path: str, body: Json, accepted: tuple[int, ...] = ()) -> Json:
        """Set something."""
        return self._ask(service, "PUT", path, body, (200, 201, 202, 204, *accepted)).body

    def delete(self, service: str, path: str) -> None:
        """Delete something; what is gone already is no error."""
        self._ask(service, "DELETE", path, None, (200, 202, 204, 404))

    def wait(self, what: str, look: t.Callable[[], t.Any], done: t.Callable[[t.Any], bool]) -> t.Any:
        """Look until it is done.

        Raises:
            ServerError: not in time.
        """
        patience = self.patience.fresh()
        while True:
            found = look()
            if done(found):
                return found
            state = found.get("status", "") if isinstance(found, dict) else ""
            self.pause(patience, f"{what} is still {state or 'not finished'}")
