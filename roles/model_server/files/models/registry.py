# Kept by labtrack.mlflow.model_server.
# SPDX-License-Identifier: GPL-3.0-or-later
"""What MLflow on this machine says of a registered model, over the socket that the proxy uses."""

from __future__ import annotations

import configparser
import http.client
import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

from settings import Model, ModelError, Settings

# the alias, or the model itself, is not there (yet)
MISSING = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
TIMEOUT_SECONDS = 120
PIECE_BYTES = 1 << 20


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect to the path instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Registry:
    """Asks as the administrator whose login is on this machine."""

    def __init__(self, settings: Settings):
        self.socket = settings.socket
        self.credentials_file = settings.credentials_file

    def _login(self) -> str:
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read_string(self.credentials_file.read_text(encoding="utf-8"))
            name, password = (parser["mlflow"][f"mlflow_tracking_{key}"] for key in ("username", "password"))
        except (OSError, KeyError, configparser.Error) as error:
            raise ModelError(
                f"{self.credentials_file} cannot be read as MLflow's credentials ({type(error).__name__}). Deploy tracking_server first."
            ) from None
        return "Basic " + b64encode(f"{name}:{password}".encode()).decode()

    @contextmanager
    def _answer(self, path: str) -> Iterator[http.client.HTTPResponse]:
        connection = UnixConnection(self.socket, TIMEOUT_SECONDS)
        try:
            connection.request("GET", path, headers={"Authorization": self._login()})
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise ModelError(f"MLflow at unix:{self.socket} does not answer ({error or type(error).__name__}). Start it; what is served goes on.") from None
        finally:
            connection.close()

    def _get(self, resource: str, **query: str) -> dict:
        with self._answer(f"/api/2.0/{resource}?{urlencode(query)}") as answer:
            status, text = answer.status, answer.read().decode(errors="replace")
        try:
            found = json.loads(text)
        except ValueError:
            found = {}
        if status == 200:
            return found
        if status in (400, 404) and found.get("error_code") in MISSING:
            raise LookupError(found.get("message", "it is not there"))
        raise ModelError(f"MLflow answered {status} to {resource}: {found.get('message', text[:300])}")

    def version_of_alias(self, model: Model) -> int:
        """The version that the alias names; raises LookupError where there is none."""
        found = self._get("mlflow/registered-models/alias", name=model.registered_model, alias=model.alias)
        return int(found["model_version"]["version"])

    def place(self, model: Model, version: int) -> str:
        """Where the files of a version are; raises LookupError where there is no such version."""
        self._get("mlflow/model-versions/get", name=model.registered_model, version=str(version))
        return self._get("mlflow/model-versions/get-download-uri", name=model.registered_model, version=str(version))["artifact_uri"]

    def files(self, folder: str) -> Iterator[tuple[str, int]]:
        """Path below the folder and size of each file that the server passes on."""
        pending = [""]
        while pending:
            below = pending.pop()
            for entry in self._get("mlflow-artifacts/artifacts", path=f"{folder}/{below}".rstrip("/")).get("files", []):
                name = entry["path"].rstrip("/").rpartition("/")[2]
                if name in ("", ".", "..") or "\0" in name:
                    raise ModelError(f"the model has a file with the name '{name}', which is none.")
                path = f"{below}/{name}".lstrip("/")
                if entry.get("is_dir"):
                    pending.append(path)
                else:
                    yield path, int(entry.get("file_size") or 0)

    def download(self, path: str, target: Path) -> int:
        """Fetch one file; its size."""
        target.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with self._answer(f"/api/2.0/mlflow-artifacts/artifacts/{quote(path)}") as answer, target.open("wb") as stream:
            if answer.status != 200:
                raise ModelError(f"MLflow answered {answer.status} when '{path}' was fetched.")
            while piece := answer.read(PIECE_BYTES):
                size += stream.write(piece)
        return size
