# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection, install the artefact elsewhere, and let ansible-doc show every role and plugin of it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from suite.paths import FQCN, ROOT, tool_environment

# Folders of plugins/ that ansible-doc documents, and what it calls them.
DOCUMENTED = ("become", "cache", "callback", "connection", "filter", "inventory", "lookup", "module", "strategy", "test", "vars")


def build(folder: Path) -> Path:
    """Build the artefact into the folder; its path."""
    command = ["ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(folder)]
    subprocess.run(command, env=tool_environment(), check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.tar.gz"))


def expected() -> dict[str, list[str]]:
    """Names by type that ansible-doc must know."""
    names = {"role": sorted(path.parent.parent.name for path in ROOT.glob("roles/*/meta/argument_specs.yml"))}
    for kind in DOCUMENTED:
        folder = ROOT / "plugins" / ("modules" if kind == "module" else kind)
        names[kind] = sorted({path.stem for path in folder.glob("[a-z]*.*") if path.suffix in (".py", ".yml")})
    return {kind: found for kind, found in names.items() if found}


def documentation(collections: Path, kind: str, names: list[str]) -> list[str]:
    """Names whose documentation cannot be shown."""
    command = ["ansible-doc", "--json", "--type", kind, *(f"{FQCN}.{name}" for name in names)]
    env = tool_environment(ANSIBLE_COLLECTIONS_PATH=str(collections))
    done = subprocess.run(command, env=env, cwd=collections, capture_output=True, text=True, check=False)
    shown = json.loads(done.stdout) if done.returncode == 0 else {}
    if done.returncode or done.stderr.strip():
        print(done.stderr.strip())
    return [f"{kind} {name}" for name in names if not shown.get(f"{FQCN}.{name}")]


def main() -> int:
    """Build, install, show."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        archive = build(folder)
        installed = folder / "collections"
        install = ["ansible-galaxy", "collection", "install", str(archive), "--offline", "-p", str(installed)]
        subprocess.run(install, env=tool_environment(ANSIBLE_COLLECTIONS_PATH=str(installed)), cwd=folder, check=True)
        missing = []
        for kind, names in expected().items():
            print(f"{kind}: {', '.join(names)}")
            missing += documentation(installed, kind, names)
    for name in missing:
        print(f"ansible-doc shows nothing for {name}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
