# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves the same artifacts through the tracking server with MLflow's client and straight to its S3 store with boto3, in turn.

Runs in the client environment. Reads its task as JSON from stdin, prints seconds by transfer as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from mlflow import MlflowClient

THREADS = 8
TRANSFERS = ("big_up", "big_down", "small_up", "small_down", "small_up_threads")


class Server:
    """Through the tracking server, as people do it."""

    def __init__(self, _task: dict[str, Any]) -> None:
        self.client = MlflowClient()
        self.experiment = self.client.create_experiment(f"artifacts {time.time_ns()}")

    def new(self) -> str:
        """Where the next transfer goes."""
        return self.client.create_run(self.experiment).info.run_id

    def put(self, place: str, file: Path) -> None:
        """One file."""
        self.client.log_artifact(place, str(file))

    def put_all(self, place: str, directory: Path) -> None:
        """A directory: one file after the other."""
        self.client.log_artifacts(place, str(directory), "files")

    def get(self, place: str, name: str, target: Path) -> None:
        """One file."""
        self.client.download_artifacts(place, name, str(target))

    def get_all(self, place: str, target: Path) -> None:
        """A directory: MLflow's client takes several files at once."""
        self.client.download_artifacts(place, "files", str(target))


class Direct:
    """Straight to the bucket, with the ways that boto3 offers: one client, its own multipart threads for a large file."""

    def __init__(self, task: dict[str, Any]) -> None:
        options = Config(s3={"addressing_style": "path"}, max_pool_connections=THREADS + 2)
        self.bucket = task["bucket"]
        self.client = boto3.client("s3", config=options, region_name="us-east-1", **task["s3"])

    def new(self) -> str:
        """Where the next transfer goes."""
        return f"bench/{time.time_ns()}"

    def put(self, place: str, file: Path) -> None:
        """One file."""
        self.client.upload_file(str(file), self.bucket, f"{place}/{file.name}")

    def put_all(self, place: str, directory: Path) -> None:
        """A directory: one file after the other."""
        for file in directory.iterdir():
            self.put(f"{place}/files", file)

    def get(self, place: str, name: str, target: Path) -> None:
        """One file."""
        self.client.download_file(self.bucket, f"{place}/{name}", str(target / Path(name).name))

    def get_all(self, place: str, target: Path) -> None:
        """A directory: list it, then several files at once, as MLflow's client does."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{place}/files/")
        names = [item["Key"].removeprefix(f"{place}/") for page in pages for item in page.get("Contents", [])]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda name: self.get(place, name, target), names))


def put_threads(way: Server | Direct, place: str, directory: Path) -> None:
    """A directory, several files at once: for who needs speed with small files."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda file: way.put(place, file), directory.iterdir()))


def cpu_seconds(task: dict[str, Any]) -> float:
    """CPU time of the server's machine."""
    text = Path(task["counter"]).read_text(encoding="utf-8")
    return int(text) / 1e9 if "usage_usec" not in text else int(text.split()[1]) / 1e6


def clock(task: dict[str, Any], rows: list[dict[str, float]], action: Callable[[], None]) -> None:
    """Wall seconds and the server's CPU seconds of one transfer."""
    before, started = cpu_seconds(task), time.monotonic()
    action()
    rows.append({"wall": time.monotonic() - started, "cpu": cpu_seconds(task) - before})


def one_round(task: dict[str, Any], way: Server | Direct, rows: dict[str, list[dict[str, float]]], work: Path) -> None:
    """Every transfer once, there and back."""
    big, small, back, place = work / "big.bin", work / "small", work / "back", way.new()
    back.mkdir()
    clock(task, rows["big_up"], lambda: way.put(place, big))
    clock(task, rows["big_down"], lambda: way.get(place, big.name, back))
    assert (back / big.name).stat().st_size == big.stat().st_size, "the large file came back shorter"
    clock(task, rows["small_up"], lambda: way.put_all(place, small))
    clock(task, rows["small_down"], lambda: way.get_all(place, back))
    assert len(list(back.rglob("0*.bin"))) == task["files"], "small files are missing"
    clock(task, rows["small_up_threads"], lambda: put_threads(way, way.new(), small))
    shutil.rmtree(back)


def main() -> int:
    """All transfers, in alternating rounds."""
    task = json.load(sys.stdin)
    work = Path(task["work"])
    (work / "small").mkdir(parents=True)
    with (work / "big.bin").open("wb") as stream:
        for _ in range(task["megabytes"]):
            stream.write(os.urandom(1 << 20))
    for number in range(task["files"]):
        (work / "small" / f"{number:04}.bin").write_bytes(os.urandom(1024))
    ways: dict[str, Server | Direct] = {"server": Server(task), "direct": Direct(task)}
    rows = {name: {transfer: [] for transfer in TRANSFERS} for name in ways}
    for number in range(task["rounds"]):
        for name in list(ways) if number % 2 == 0 else list(reversed(ways)):
            one_round(task, ways[name], rows[name], work)
    json.dump(rows, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
