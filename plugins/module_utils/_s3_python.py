# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a script with another Python, the one that has the boto3 of the MLflow release.

Script and parameters go through standard input: no secret is in an argument or in the environment.
"""

from __future__ import annotations

import glob
import inspect
import json
import os
import subprocess
import types
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import StoreError

LOADER = (
    "import json, sys; d = json.load(sys.stdin); n = {'__name__': 'probe'}; "
    "exec(compile(d['script'], '<s3>', 'exec'), n); json.dump(n['main'](d['params']), sys.stdout)"
)


def environment() -> dict[str, str]:
    """The environment without anybody's AWS settings."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BOTO"))}
    return {**clean, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}


def run(python: str, script: types.ModuleType, params: dict[str, t.Any], timeout: float) -> dict[str, t.Any]:
    """Result of the script's C(main(params)).

    Raises:
        StoreError: the interpreter cannot be run, has no boto3, or the script failed.
    """
    text = json.dumps({"script": inspect.getsource(script), "params": params})
    try:
        done = subprocess.run([python, "-I", "-c", LOADER], input=text, capture_output=True, text=True, check=False, timeout=timeout, env=environment())
    except subprocess.TimeoutExpired as error:
        raise StoreError("timeout", f"the probe took more than {timeout:.0f} s") from error
    except OSError as error:
        raise StoreError("python", error.strerror or str(error)) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        missing = "No module named" in last and "boto" in last
        raise StoreError("no_boto3" if missing else "probe", "" if missing else last)
    return json.loads(done.stdout)


def boto3_version(python: str) -> str:
    """Version of boto3 that the interpreter would import, from the directory names; empty when there is none."""
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(python)))
    places = ["lib/python3*/site-packages"]
    if not os.path.exists(os.path.join(prefix, "pyvenv.cfg")):
        places.append("lib/python3/dist-packages")
    for place in places:
        for path in sorted(glob.glob(os.path.join(prefix, place, "boto3-*-info"))):
            return os.path.basename(path).split("-")[1].replace(".dist", "").replace(".egg", "")
    return ""
