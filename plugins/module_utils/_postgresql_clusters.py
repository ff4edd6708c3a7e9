# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL clusters of a Debian machine, read from their files: also while no server runs or is installed."""

from __future__ import annotations

import glob
import os
import re
import typing as t

TEMPLATE_DATABASES = {"1", "4", "5"}  # template1, template0, postgres since PostgreSQL 15: what initdb makes


def read(path: str) -> str:
    """Text of a file, empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read()
    except OSError:
        return ""


def setting(texts: t.Iterable[str], name: str, default: str) -> str:
    """Value of a setting; the last line of the last file wins."""
    pattern = re.compile(rf"^\s*{name}\s*=?\s*(?:'([^']*)'|([^\s#']+))", re.M | re.I)
    found = [match[1] if match[1] is not None else match[2] for text in texts for match in pattern.finditer(text)]
    return found[-1] if found else default


def cluster(config_dir: str) -> dict[str, t.Any]:
    """One cluster as pg_lsclusters would show it, and whether it holds only what initdb made."""
    version, name = config_dir.rstrip("/").split("/")[-2:]
    texts = [read(path) for path in [os.path.join(config_dir, "postgresql.conf"), *sorted(glob.glob(os.path.join(config_dir, "conf.d", "*.conf")))]]
    data = setting(texts, "data_directory", f"/var/lib/postgresql/{version}/{name}")
    words = [line.strip() for line in read(os.path.join(config_dir, "start.conf")).splitlines() if line.strip() and not line.startswith("#")]
    try:
        databases = {entry for entry in os.listdir(os.path.join(data, "base")) if entry.isdigit()}
    except OSError:
        databases = set()
    return {
        "version": version,
        "name": name,
        "config_dir": config_dir,
        "data_directory": data,
        "port": int(setting(texts, "port", "5432")),
        "start": words[0] if words else "auto",
        "untouched": databases <= TEMPLATE_DATABASES,
    }


def clusters(root: str = "/etc/postgresql") -> list[dict[str, t.Any]]:
    """All clusters that Debian's tools know."""
    return [cluster(os.path.dirname(path)) for path in sorted(glob.glob(os.path.join(root, "*", "*", "postgresql.conf")))]


def data_versions(data_dir: str) -> list[str]:
    """Versions whose data lies at `data_dir` or beside it as `../../<version>/<name>`."""
    name, parent = os.path.basename(data_dir.rstrip("/")), os.path.dirname(os.path.dirname(data_dir.rstrip("/")))
    places = {data_dir, *glob.glob(os.path.join(parent, "[0-9]*", name))}
    return sorted({read(os.path.join(place, "PG_VERSION")).strip() for place in places} - {""})
