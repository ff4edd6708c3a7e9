# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for the containers: templates below a directory that stands for the root, and archives of them."""

from __future__ import annotations

import io
import tarfile
import time
from pathlib import Path
from typing import Any

import docker
import jinja2

HERE = Path(__file__).parent
READABLE = ("usr/lib", "etc/systemd", "etc/mysql", "etc/rabbitmq", "etc/labtrack-cloud/", "etc/ceph")
SECRET = (".json", ".yaml")


def render(root: Path, variables: dict[str, Any]) -> dict[str, str]:
    """Contents by path; a file that ends with .j2 is a template."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file() and path.parent.name != "__pycache__":
            name, text = str(path.relative_to(root)), path.read_text(encoding="utf-8")
            if path.suffix == ".j2":
                template = jinja2.Template(text, undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True)
                name, text = name.removesuffix(".j2"), template.render(variables)
            found[name] = text
    return found


def archive(contents: dict[str, str]) -> bytes:
    """A tar archive; programs are executable, what may hold a secret belongs to root and a group."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in sorted(contents.items()):
            data, info = text.encode(), tarfile.TarInfo(name)
            readable = name.startswith(READABLE) and not name.endswith(SECRET)
            mode = 0o755 if name.startswith("usr/local/sbin") else 0o644 if readable else 0o640
            info.size, info.mode, info.mtime = len(data), mode, int(time.time())
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def fetch(machine: docker.models.containers.Container, source: str) -> str:
    """A file of a container, running or not."""
    data = b"".join(machine.get_archive(f"/{source}")[0])
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        stream = tar.extractfile(tar.getmembers()[0])
        return stream.read().decode() if stream else ""


def keep(path: Path, text: str) -> None:
    """Write a file for its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
