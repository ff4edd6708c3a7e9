# SPDX-License-Identifier: GPL-3.0-or-later
"""A large file and many small ones through the tracking server beside the same straight to its S3 store."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from pathlib import Path

from testbed import client as laptop
from testbed import machines as testbed
from testbed.engine import TestbedError

from .figures import Figure, Report, middle, say
from .site import ACCESS_KEY, OVERLAY, STORE_PORT, Site
from .targets import Target

MEGABYTES, FILES, ROUNDS = 200, 200, 3
TRANSFERS = {
    "big_up": (0.9, f"{MEGABYTES} MB up"),
    "big_down": (0.9, f"{MEGABYTES} MB down"),
    "small_up": (1.0, f"{FILES} x 1 KB up, one after the other"),
    "small_up_threads": (1.0, f"{FILES} x 1 KB up, 8 threads"),
    "small_down": (1.0, f"{FILES} x 1 KB down, several at once"),
}


def bench(report: Report, site: Site, target: Target) -> None:
    """All transfers from one client process."""
    with tempfile.TemporaryDirectory(prefix="labtrack-bench-") as directory:
        work = Path(directory)
        (work / "ca.pem").write_text(target.ca_pem, encoding="utf-8")
        user, password = base64.b64decode(target.header.split()[1]).decode().split(":", 1)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "AWS_"))},
            "MLFLOW_TRACKING_URI": target.url,
            "MLFLOW_TRACKING_USERNAME": user,
            "MLFLOW_TRACKING_PASSWORD": password,
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(work / "ca.pem"),
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        store = {"endpoint_url": f"https://{testbed.address(site.machine)}:{STORE_PORT}", "verify": str(work / "ca.pem")}
        keys = {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": site.secret_key}
        task = {"work": str(work / "files"), "megabytes": MEGABYTES, "files": FILES, "rounds": ROUNDS, "counter": str(site.counter)}
        task |= {"bucket": f"{OVERLAY['site_name']}-mlflow", "s3": store | keys}
        say("transfers through the server and straight to the store")
        command = [str(laptop.python()), str(Path(__file__).with_name("artifact_client.py"))]
        done = subprocess.run(command, env=environment, input=json.dumps(task), capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestbedError(f"the transfers failed:\n{done.stderr[-3000:]}")
    rows = json.loads(done.stdout.splitlines()[-1])
    for name, (goal, what) in TRANSFERS.items():
        details = {way: {key: middle([row[key] for row in rows[way][name]]) for key in ("wall", "cpu")} for way in ("server", "direct")}
        ratios = middle([direct["wall"] / server["wall"] for server, direct in zip(rows["server"][name], rows["direct"][name])])
        details["ratio"] = ratios
        seconds = f"{what}: server {details['server']['wall']['median']:.2f} s, direct {details['direct']['wall']['median']:.2f} s"
        report.add(Figure(f"artifacts {name}", ratios["median"], "x", seconds, goal, details=details))
