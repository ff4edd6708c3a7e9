# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask HTTPS servers of one address for pages and compare the status, with the certificate verified.

Plain Python without AnsibleModule, so that unit tests need no Ansible.
"""

from __future__ import annotations

import dataclasses
import http.client
import socket
import ssl
import time
import typing as t

POLL_SECONDS = 0.5


@dataclasses.dataclass(frozen=True)
class Request:
    """A page to ask for; `server_name` goes into SNI, the `Host` header and the comparison with the certificate."""

    server_name: str
    path: str
    status: tuple[int, ...]
    ca_file: str | None = None


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back: a status, or why there is none."""

    request: Request
    status: int = 0
    error: str = ""

    @property
    def good(self) -> bool:
        """Whether the status is one of those asked for."""
        return self.status in self.request.status

    def sentence(self) -> str:
        """The answer for a person."""
        got = f"status {self.status}" if self.status else self.error
        wanted = " or ".join(map(str, self.request.status))
        return f"https://{self.request.server_name}{self.request.path} gave {got}, expected {wanted}"


def explain(error: Exception, request: Request) -> str:
    """An error of the connection, with the usual cause."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"a certificate that {request.ca_file or 'the system'} does not confirm for '{request.server_name}' ({error.verify_message})"
    if isinstance(error, ConnectionRefusedError):
        return "no connection (refused: nothing listens there)"
    return f"no answer ({error})"


def ask(request: Request, address: str, port: int, timeout: float) -> Answer:
    """One request on a connection of its own."""
    try:
        context = ssl.create_default_context(cafile=request.ca_file)
        with socket.create_connection((address, port), timeout=timeout) as plain:
            with context.wrap_socket(plain, server_hostname=request.server_name) as tls:
                connection = http.client.HTTPConnection(request.server_name, timeout=timeout)
                connection.sock = tls
                connection.request("GET", request.path, headers={"Connection": "close"})
                return Answer(request, connection.getresponse().status)
    except (OSError, http.client.HTTPException) as error:
        return Answer(request, error=explain(error, request))


def wait(requests: t.Sequence[Request], address: str, port: int, timeout: float, seconds: float) -> list[Answer]:
    """Ask until every answer is good or the time is over; the last answers."""
    deadline = time.monotonic() + seconds
    answers = [ask(request, address, port, timeout) for request in requests]
    while not all(answer.good for answer in answers) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        answers = [answer if answer.good else ask(answer.request, address, port, timeout) for answer in answers]
    return answers
