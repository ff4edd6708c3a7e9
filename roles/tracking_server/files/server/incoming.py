# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of an upload that is still arriving, as the file that boto3 wants to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Future

PIECE = 1 << 20


class CutOffError(OSError):
    """The body ended before its declared length, or nobody wants it any more."""


async def take(chunks: AsyncIterator[bytes], wanted: int) -> bytes:
    """At least so many bytes, fewer only at the end."""
    taken: list[bytes] = []
    while wanted > 0 and (chunk := await anext(chunks, None)) is not None:
        taken.append(chunk)
        wanted -= len(chunk)
    return taken[0] if len(taken) == 1 else b"".join(taken)


class Incoming:
    """Read in a thread; while a piece is sent on, the event loop collects the next one. No more than two are in memory.

    `failure` is why reading failed: boto3 wraps errors of the file in its own.
    """

    def __init__(self, head: bytes, chunks: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self.failure: BaseException | None = None
        self._ready, self._chunks, self._loop = head, chunks, loop
        self._next: Future[bytes] | None = None
        self._first: bytes | None = None
        self._left, self._size, self._closed = 0, 0, False
        self._ask()

    def allow(self, size: int) -> Incoming:
        """The file ends after so many bytes; what follows belongs to the next request to the store."""
        self._left = self._size = size
        self._first = None
        return self

    def read(self, _wanted: int = -1) -> bytes:
        """The next piece, of whatever size: boto3 and urllib3 count what they get."""
        if not self._left:
            return b""
        piece = self._ready or self._arrived()
        self._ready, piece = piece[self._left :], piece[: self._left]
        self._first = piece if self._left == self._size else None
        self._left -= len(piece)
        return piece

    def seek(self, position: int) -> int:
        """boto3 repeats a request from its beginning: possible after the first piece, as on a connection that the store had closed."""
        if position or (self._left < self._size and self._first is None):
            raise CutOffError("an upload that is still arriving cannot be repeated")
        if self._first is not None:
            self._ready, self._first, self._left = self._first + self._ready, None, self._size
        return 0

    def close(self) -> None:
        """Let a thread that still reads fail."""
        self._closed = True
        if self._next:
            self._next.cancel()

    def _ask(self) -> None:
        self._next = asyncio.run_coroutine_threadsafe(take(self._chunks, PIECE), self._loop)

    def _arrived(self) -> bytes:
        try:
            piece = self._next.result()
            if not piece or self._closed:
                raise CutOffError(f"the upload ended {self._left} bytes too early")
        except BaseException as error:
            self.failure = error
            raise
        self._ask()
        return piece
