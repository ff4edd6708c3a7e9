# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test sanity on the built artefact, unpacked where ansible-test wants a collection to be.

ansible-test downloads a script to put pip into its environments. Its cache is filled here with one that uses the
locked uv instead, so that the run needs a Python package index and nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import ansible_test

from suite.artefact import build
from suite.paths import BIN, STATE, tool_environment

BOOTSTRAP = """\
import os
import subprocess
import sys

packages = [argument for argument in sys.argv[1:] if "==" in argument]
command = [{uv!r}, "pip", "install", "--quiet", "--system-certs", "--python", sys.executable, *packages]
subprocess.check_call(command, env=os.environ | {settings!r})
"""


def pip_version() -> str:
    """The version of pip that this ansible-test puts into its environments."""
    source = Path(ansible_test.__path__[0]) / "_internal" / "python_requirements.py"
    match = re.search(r"pip='([\d.]+)'", source.read_text(encoding="utf-8"))
    if not match:
        sys.exit(f"script/test: {source} names no version of pip any more; adapt script/suite/sanity.py.")
    return match[1]


def prepare_home(home: Path) -> None:
    """A home folder with the bootstrap script and the pip settings of the caller (ansible-test drops PIP_*)."""
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    script = cache / f"get_pip_{pip_version().replace('.', '_')}.py"
    authorities, index = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE"), os.environ.get("PIP_INDEX_URL")
    settings = {"UV_CACHE_DIR": str(STATE / "cache" / "uv"), "SSL_CERT_FILE": authorities, "UV_DEFAULT_INDEX": index}
    uv = str(STATE / "uv" / "bin" / "uv")
    script.write_text(BOOTSTRAP.format(uv=uv, settings={key: value for key, value in settings.items() if value}), encoding="utf-8")
    lines = [f"{key} = {value}\n" for key, value in {"cert": authorities, "index-url": index}.items() if value]
    pip_conf = home / ".config" / "pip" / "pip.conf"
    pip_conf.parent.mkdir(parents=True, exist_ok=True)
    pip_conf.write_text("".join(["[global]\n", *lines]), encoding="utf-8")


def unpack(folder: Path) -> Path:
    """The artefact under ansible_collections/, in a git repository of its own: ansible-test asks git for the files."""
    shutil.rmtree(folder, ignore_errors=True)
    target = folder / "ansible_collections" / "labtrack" / "mlflow"
    target.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary:
        archive = str(build(Path(temporary)))
        for command in (["tar", "-xzf", archive], ["git", "init", "--quiet"], ["git", "add", "--all", "--force"]):
            subprocess.run(command, cwd=target, check=True, env=tool_environment())
    return target


def main() -> int:
    """Run every sanity test with the Python of the environment."""
    folder = STATE / "sanity"
    home = folder / "home"
    prepare_home(home)
    target = unpack(folder / "tree")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [str(BIN / "ansible-test"), "sanity", "--local", "--requirements", "--color", "no", "--python", python, *sys.argv[1:]]
    env = tool_environment(HOME=str(home))
    del env["ANSIBLE_COLLECTIONS_PATH"]
    return subprocess.run(command, cwd=target, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
