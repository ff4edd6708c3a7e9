# SPDX-License-Identifier: GPL-3.0-or-later
"""Big files, slow answers, streams, restarts of MLflow, reloads of nginx: nothing is lost, nothing lands on nginx's disk."""

from __future__ import annotations

import threading
import time

from https_client import RIGHT, basic

GIB = 1 << 30
BLOCK = bytes(1 << 20)
ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/1/model.bin"


def buffered_kb(host):
    return int(host.check_output("du -sk /var/lib/nginx").split()[0])


def blocks(total, halfway):
    """A body without a length, with a look at the server half-way."""
    for number in range(total // len(BLOCK)):
        if number == total // len(BLOCK) // 2:
            halfway()
        yield BLOCK


def test_one_gib_is_uploaded_without_a_buffer(host, client):
    seen = []
    start = time.monotonic()
    reply = client.ask(ARTIFACT, RIGHT, method="PUT", body=blocks(GIB, lambda: seen.append(buffered_kb(host))))
    took = time.monotonic() - start
    assert (reply.status, reply.document["size"]) == (200, GIB)
    assert seen[0] < 1024, "half of the file is on the way, none of it may be on nginx's disk"
    assert reply.document["seconds"] > 0.8 * took, "MLflow receives while the client sends"
    print(f"1 GiB up in {took:.1f} s")


def test_one_gib_is_downloaded_without_a_buffer(host, client):
    connection = client.connect()
    connection.request("GET", "/get-artifact?large=1", headers={"Authorization": basic(RIGHT)})
    answer, left = connection.getresponse(), GIB
    while left:
        left -= len(answer.read(1 << 20))
        if left == GIB // 2:
            time.sleep(0.5)  # a slow reader: where does the rest wait?
            assert buffered_kb(host) < 1024
    connection.close()


def test_a_big_rest_call_passes(client):
    body = b'{"metrics": "' + b"x" * (5 << 20) + b'"}'
    assert client.ask("/api/2.0/mlflow/runs/log-batch", RIGHT, method="POST", body=body).document["size"] == len(body)


def test_a_slow_answer_arrives(client):
    for path in ("/api/2.0/mlflow/x?slow", "/api/3.0/mlflow/x?slow", "/x?slow"):
        assert client.ask(path, RIGHT).status == 200


def test_a_stream_arrives_piece_by_piece(client):
    connection = client.connect()
    connection.request("POST", "/gateway/stream", body=b"{}", headers={"Authorization": basic(RIGHT)})
    answer, start = connection.getresponse(), time.monotonic()
    arrivals = []
    while piece := answer.read1():
        arrivals.append((time.monotonic() - start, piece))
    assert len(arrivals) >= 4
    assert arrivals[0][0] < 0.4 < 1.2 < arrivals[-1][0]


def test_no_request_is_lost_in_a_reload(host, client):
    failures, done, stop = [], [], threading.Event()

    def work(path):
        while not stop.is_set():
            try:
                status = client.ask(path, RIGHT, method="POST", body=b"{}").status
                (done if status == 200 else failures).append(status)
            except OSError as error:
                failures.append(error)

    slow = []
    upload = threading.Thread(target=lambda: slow.append(client.ask(ARTIFACT, RIGHT, method="PUT", body=blocks(64 << 20, lambda: time.sleep(4))).status))
    threads = [threading.Thread(target=work, args=(path,)) for path in ("/api/2.0/mlflow/x", "/v1/traces", "/x?slow")]
    for thread in [upload, *threads]:
        thread.start()
    for _ in range(3):
        time.sleep(1)
        host.check_output("systemctl reload nginx")
    time.sleep(1)
    stop.set()
    for thread in [upload, *threads]:
        thread.join()
    assert not failures
    assert slow == [200]
    print(f"{len(done)} requests over 3 reloads")
    assert len(done) > 50


def test_a_restart_of_mlflow_is_announced(host, client):
    host.check_output("systemctl stop stand-in@main")
    try:
        for path in ("/api/2.0/mlflow/x", ARTIFACT, "/version", "/static-files/static/js/plain.js", "/health"):
            reply = client.ask(path, RIGHT, method="GET" if "static" in path else "PUT")
            assert (reply.status, reply.headers["Retry-After"]) == (503, "5"), path
            assert reply.document["error_code"] == "TEMPORARILY_UNAVAILABLE"
        page = client.ask("/", RIGHT, Accept="text/html,application/xhtml+xml")
        assert (page.status, page.headers["Content-Type"]) == (503, "text/html")
        assert b"restarting" in page.body
        assert client.ask("/").status == 401
    finally:
        host.check_output("systemctl start stand-in@main")
    for _ in range(50):
        if client.ask("/version", RIGHT).status == 200:
            break
        time.sleep(0.1)
    assert client.ask("/api/2.0/mlflow/x", RIGHT).status == 200
