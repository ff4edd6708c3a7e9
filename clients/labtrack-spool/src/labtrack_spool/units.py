# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd user units for a login or data-transfer node."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path

SERVICE = """\
[Unit]
Description=Send MLflow spools to the tracking server

[Service]
Type=oneshot
{environment}ExecStart={command}
Nice=10
IOSchedulingClass=idle
NoNewPrivileges=true
"""
TIMER = """\
[Unit]
Description=Send MLflow spools every {every}

[Timer]
OnActiveSec=1min
OnUnitInactiveSec={every}
RandomizedDelaySec=30s

[Install]
WantedBy=timers.target
"""
KEPT = ("LABTRACK_SPOOL_SERVER", "MLFLOW_TRACKING_SERVER_CERT_PATH", "HTTPS_PROXY", "NO_PROXY", "XDG_STATE_HOME")


def quote(text: str) -> str:
    """A word of ExecStart."""
    text = text.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"'


def texts(arguments: argparse.Namespace) -> tuple[str, str]:
    """(service, timer). No password is written into them: the login is in ~/.mlflow/credentials."""
    words = [sys.executable, "-m", "labtrack_spool", "sync", "--quiet", "--allow-empty", *(str(Path(path).absolute()) for path in arguments.paths)]
    for option in ("to", "workers", "state_dir", "timeout", "retries", "running_as"):
        value = getattr(arguments, option)
        words += [f"--{option.replace('_', '-')}", str(value)] if value else []
    for option in ("experiment", "rename_experiment", "map_path"):
        for value in getattr(arguments, option):
            words += [f"--{option.replace('_', '-')}", value if isinstance(value, str) else "=".join(value)]
    switches = ("restore_deleted", "recreate", "no_artifacts", "no_registry", "no_traces")
    words += [f"--{option.replace('_', '-')}" for option in switches if getattr(arguments, option)]
    environment = "".join(f"Environment={quote(f'{name}={os.environ[name]}').replace('$$', '$')}\n" for name in KEPT if os.environ.get(name))
    return SERVICE.format(environment=environment, command=" ".join(map(quote, words))), TIMER.format(every=arguments.every)


def main(arguments: argparse.Namespace) -> int:
    """Print or write them."""
    service, timer = texts(arguments)
    identity = hashlib.sha256("\0".join(str(Path(path).absolute()) for path in arguments.paths).encode()).hexdigest()[:8]
    name = f"labtrack-spool-{identity}"
    if not arguments.install:
        print(f"# {name}.service\n{service}\n# {name}.timer\n{timer}", end="")
        return 0
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "systemd" / "user"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.service").write_text(service, encoding="utf-8")
    (folder / f"{name}.timer").write_text(timer, encoding="utf-8")
    print(f"{folder}/{name}.service and .timer written. To start them:\n  systemctl --user daemon-reload\n  systemctl --user enable --now {name}.timer")
    print("  loginctl enable-linger      # so that they run while you are not logged in; some sites do not allow it")
    return 0
