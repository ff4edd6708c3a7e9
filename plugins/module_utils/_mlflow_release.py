# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of MLflow side by side in one directory, each an environment of its own. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import shutil
from pathlib import Path

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
# Imported once after the installation, as root, so that the compiled files are there: the service may not write them.
WARM_UP = (
    "import mlflow.server.auth, mlflow.server.fastapi_app, mlflow.store.artifact.s3_artifact_repo, mlflow.store.artifact.local_artifact_repo, "
    "gunicorn.app.wsgiapp, gunicorn.workers.gthread, uvicorn_worker, uvloop, httptools, psycopg2, boto3, mlflow.tracking"
)


# What nginx sends compressed, from these copies beside the originals (gzip_static), instead of compressing it for every browser anew
COMPRESSED_SUFFIXES = {".js", ".cjs", ".mjs", ".css", ".svg", ".json", ".ttf"}
COMPRESSED_MIN_BYTES = 1000


class ReleaseError(Exception):
    """A step of the installation failed; the message says which."""


def python_tag(release: Path) -> str:
    """python3.13 for a release made with Python 3.13; empty when there is none."""
    return next((path.name for path in sorted((release / "lib").glob("python3.*"))), "")


def is_complete(release: Path) -> bool:
    """Whether the release was finished, and its Python is still the one of the system."""
    interpreter = release / "bin" / "python"
    return interpreter.exists() and (release / "static" / "index.html").is_file() and interpreter.resolve().name == python_tag(release)


def complete_releases(releases_dir: Path) -> list[str]:
    """Names of the finished releases, the newest first."""
    found = [path for path in releases_dir.glob("[!.]*") if path.is_dir() and is_complete(path)]
    return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]


def superseded(names: list[str], keep: int, used: set) -> list[str]:
    """The releases to remove: of the list, the newest first, those behind the first `keep`, but none that is in use."""
    return [name for name in names[keep:] if name not in used]


def compress(folder: Path) -> None:
    """Write <file>.gz beside each file that is worth it."""
    for path in (path for path in folder.rglob("*") if path.suffix in COMPRESSED_SUFFIXES and path.stat().st_size >= COMPRESSED_MIN_BYTES):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), compresslevel=6, mtime=0))


class Installer:
    """Installs one release. `run(command, environment)` raises ReleaseError when the command fails."""

    def __init__(self, run, releases_dir: str, *, uv_dir: str, index_url: str = "", wheelhouse_dir: str = "", proxy: str = ""):
        self.run = run
        self.releases_dir = Path(releases_dir)
        self.uv_dir = Path(uv_dir)
        self.index_url = index_url
        self.wheelhouse_dir = wheelhouse_dir
        self.environment = {
            "UV_SYSTEM_CERTS": "1",
            "UV_NATIVE_TLS": "1",
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_CONFIG": "1",
            "UV_CACHE_DIR": str(self.uv_dir.parent / "cache"),
            "UV_LINK_MODE": "hardlink",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        if Path(CA_BUNDLE).is_file():
            self.environment |= {"PIP_CERT": CA_BUNDLE, "SSL_CERT_FILE": CA_BUNDLE}
        if proxy:
            self.environment |= {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "http_proxy": proxy, "https_proxy": proxy}

    def sources(self, hashes: bool = True) -> list[str]:
        """Options that uv and pip share: where packages come from. Wheels only: nothing is built on the machine."""
        options = ["--only-binary", ":all:", *(["--require-hashes"] if hashes else [])]
        if self.wheelhouse_dir:
            options += ["--no-index", "--find-links", self.wheelhouse_dir]
        elif self.index_url:
            options += ["--index-url", self.index_url]
        return options

    @contextlib.contextmanager
    def alone(self):
        """One installation at a time: an interrupted run may have left one that goes on in the background. Waits for it."""
        self.uv_dir.parent.mkdir(parents=True, exist_ok=True)
        with (self.uv_dir.parent / "lock").open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def replace(self, target: Path, build) -> None:
        """Build below a temporary name, then rename: what was interrupted does not count."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.parent / f".{target.name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        build(partial)
        os.sync()  # or a power-off soon after leaves a release with empty files, which looks complete
        if target.exists():
            obsolete = target.parent / f".{target.name}.obsolete"
            shutil.rmtree(obsolete, ignore_errors=True)
            target.rename(obsolete)
            partial.rename(target)
            shutil.rmtree(obsolete)
        else:
            partial.rename(target)

    def install_uv(self, requirements_file: str) -> bool:
        """uv in an environment of its own, by pip; False when it is there."""
        marker = Path(requirements_file).read_text(encoding="utf-8")
        done = self.uv_dir / "requirements.txt"
        if done.is_file() and done.read_text(encoding="utf-8") == marker and self._uv_works():
            return False

        def build(partial: Path) -> None:
            self.run(["/usr/bin/python3", "-m", "venv", str(partial)], self.environment)
            self.run([str(partial / "bin" / "python"), "-m", "pip", "install", "--quiet", *self.sources(), "-r", requirements_file], self.environment)
            (partial / "requirements.txt").write_text(marker, encoding="utf-8")

        self.replace(self.uv_dir, build)
        return True

    def _uv_works(self) -> bool:
        return os.access(self.uv_dir / "bin" / "uv", os.X_OK)

    def install(self, name: str, requirements_file: str, server_dir: str = "") -> bool:
        """The release of that name; False when it is complete."""
        release = self.releases_dir / name
        if is_complete(release):
            return False

        def build(partial: Path) -> None:
            uv = str(self.uv_dir / "bin" / "uv")
            python = str(partial / "bin" / "python")
            self.run([uv, "venv", "--quiet", "--relocatable", "--python", "/usr/bin/python3", str(partial)], self.environment)
            self.run([uv, "pip", "install", "--quiet", "--python", python, *self.sources(), "-r", requirements_file], self.environment)
            self.run([python, "-c", WARM_UP], self.environment)
            packages = f"lib/{python_tag(partial)}/site-packages"
            migrations = [str(partial / packages / "mlflow" / folder) for folder in ("store/db_migrations", "server/auth/db")]
            self.run([python, "-m", "compileall", "-q", *migrations], self.environment)
            (partial / "static").symlink_to(f"{packages}/mlflow/server/js/build")
            compress(partial / packages / "mlflow" / "server" / "js" / "build")
            shutil.copyfile(requirements_file, partial / "requirements.txt")
            if server_dir:
                shutil.copytree(server_dir, partial / "server")

        self.replace(release, build)
        return True

    def prune(self, keep: int, used: set) -> list[str]:
        """Remove old releases and what interrupted runs left; returns their names."""
        names = superseded(complete_releases(self.releases_dir), keep, used)
        for name in names:
            shutil.rmtree(self.releases_dir / name)
        return names
