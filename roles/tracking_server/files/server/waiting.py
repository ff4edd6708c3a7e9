# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients hear while MLflow cannot start: the reason, with 503, on the sockets that systemd has passed. Otherwise they would wait without a word.

A start that finds everything in place never uses this: its clients wait those seconds, and no request fails.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import sys
import time
from collections.abc import Callable
from typing import TypeVar

SECONDS = 60
STEP_SECONDS = 1.0
DRAIN_SECONDS = 0.5
FIRST_FD = 3  # sd_listen_fds(3)
Result = TypeVar("Result")


class MissingError(Exception):
    """Something that MLflow needs is not there now."""


def listeners() -> list[socket.socket]:
    """The sockets that systemd has passed; none where another service serves them meanwhile."""
    if os.environ.get("LABTRACK_STANDBY"):
        return []
    return [socket.socket(fileno=os.dup(FIRST_FD + number)) for number in range(int(os.environ.get("LISTEN_FDS", "0")))]


def answer(connection: socket.socket, text: str) -> None:
    """One answer; what the client still sends is read for a moment, or it would hear of a broken connection instead."""
    body = json.dumps({"error_code": "TEMPORARILY_UNAVAILABLE", "message": text}).encode()
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with connection, contextlib.suppress(OSError):
        connection.settimeout(DRAIN_SECONDS)
        if not connection.recv(65536):
            return
        connection.sendall(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
        end = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < end and connection.recv(1 << 20):
            pass


def answer_all(sockets: list[socket.socket], text: str, seconds: float = STEP_SECONDS) -> None:
    """Every client that comes within this time."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for listener in sockets:
            selector.register(listener, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            for key, _events in selector.select(left):
                answer(key.fileobj.accept()[0], text)


def wait_for(action: Callable[[], Result], seconds: float = SECONDS) -> Result:
    """What the action returns as soon as it does not raise MissingError any more.

    Raises:
        MissingError: it did all the time. systemd starts MLflow again.
    """
    end, said, sockets = time.monotonic() + seconds, "", []
    try:
        while True:
            try:
                return action()
            except MissingError as error:
                if str(error) != said:
                    said = str(error)
                    print(said, file=sys.stderr, flush=True)
                if time.monotonic() > end:
                    raise
                sockets = sockets or listeners()
                answer_all(sockets, said)
    finally:
        for listener in sockets:
            listener.close()
