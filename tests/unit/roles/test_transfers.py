# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of an upload as boto3 reads it: in a thread, while it still arrives. The rest is tested with a store, in molecule/tracking_server."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "roles/tracking_server/files/server/incoming.py"
MB = 1 << 20


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("incoming", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def arriving(*chunks, error=None):
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk
    if error:
        raise error


def run(program, chunks, action, head=b""):
    """What `action` returns, a function of the body that is called in a thread."""

    async def main():
        loop = asyncio.get_running_loop()
        body = program.Incoming(head, chunks, loop)
        try:
            return await asyncio.wait_for(loop.run_in_executor(None, action, body), 10)
        finally:
            body.close()

    return asyncio.run(main())


def read_all(body):
    pieces = []
    while piece := body.read(16384):
        pieces.append(piece)
    return pieces


@pytest.mark.parametrize(
    ("chunks", "wanted", "taken", "rest"),
    [((), 5, b"", b""), ((b"ab", b"cd", b"ef"), 3, b"abcd", b"ef"), ((b"abc", b"de"), 3, b"abc", b"de"), ((b"", b"a"), 9, b"a", b"")],
)
def test_take_stops_when_it_has_enough(program, chunks, wanted, taken, rest):
    async def main():
        source = arriving(*chunks)
        return await program.take(source, wanted), await program.take(source, 100)

    assert asyncio.run(main()) == (taken, rest)


def test_all_bytes_come_in_their_order_and_in_large_pieces(program):
    content = bytes(range(256)) * 40960  # 10 MB
    chunks = [content[start : start + 65536] for start in range(0, len(content), 65536)]
    pieces = run(program, arriving(*chunks[1:]), lambda body: read_all(body.allow(len(content))), head=chunks[0])
    assert b"".join(pieces) == content
    assert len(pieces) == 11 and max(map(len, pieces)) == MB


def test_what_a_part_leaves_belongs_to_the_next_one(program):
    def parts(body):
        return [b"".join(read_all(body.allow(size))) for size in (3, 4, 1)]

    assert run(program, arriving(b"cdef", b"gh"), parts, head=b"ab") == [b"abc", b"defg", b"h"]


def test_no_more_than_two_pieces_are_in_memory(program):
    given = 0

    async def endless():
        nonlocal given
        for _ in range(100):
            given += 1
            yield bytes(MB)

    def first(body):
        body.allow(100 * MB).read()
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0.05), body._loop).result()  # time enough to take too much
        return given

    assert run(program, endless(), first) == 2


@pytest.mark.parametrize("error", [None, ConnectionError("the client went away")])
def test_a_body_that_breaks_off_is_an_error_and_says_why(program, error):
    def attempt(body):
        with pytest.raises(OSError, match="3 bytes too early" if error is None else "went away"):
            read_all(body.allow(8))
        return body.failure

    failure = run(program, arriving(b"defgh"[:2], error=error), attempt, head=b"abc")
    assert isinstance(failure, OSError if error is None else ConnectionError)


def test_a_reader_does_not_wait_for_a_body_that_nobody_wants(program):
    async def silent():
        await asyncio.Event().wait()
        yield b""

    async def main():
        loop = asyncio.get_running_loop()
        body = program.Incoming(b"", silent(), loop)
        reading = loop.run_in_executor(None, body.allow(5).read)
        await asyncio.sleep(0.05)
        body.close()
        await asyncio.wait_for(asyncio.wait([reading]), 10)
        return reading.exception()

    assert asyncio.run(main()) is not None


def test_it_can_be_repeated_until_the_second_piece(program):
    def attempts(body):
        body.allow(6).seek(0)
        first = body.read()
        body.seek(0)
        again = body.read()
        body.read()
        with pytest.raises(OSError, match="cannot be repeated"):
            body.seek(0)
        return first, again

    assert run(program, arriving(b"def"), attempts, head=b"abc") == (b"abc", b"abc")


def test_a_repeated_part_does_not_touch_the_next_one(program):
    def attempts(body):
        first = body.allow(2).read()
        body.seek(0)
        return first, read_all(body), read_all(body.allow(2))

    assert run(program, arriving(), attempts, head=b"abcd") == (b"ab", [b"ab"], [b"cd"])
