# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow's REST API over one connection: HTTPS with the lab's CA, or the socket that the proxy uses. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import typing as t
from urllib.parse import urlencode, urlsplit

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_probe import UnixConnection, basic

NAMES = r"https://<server>[:<port>], http://localhost[:<port>] or unix:/<path of a socket>"
ANSWER_CHARACTERS = 500
PAGE = 1000  # MLflow's limit for models; experiments may be more


class ApiError(Exception):
    """What a person has to do. `status` is 0 where there was no answer; `code` is MLflow's own, such as RESOURCE_DOES_NOT_EXIST."""

    def __init__(self, message: str, status: int = 0, code: str = ""):
        super().__init__(message)
        self.status, self.code = status, code


def connection_to(uri: str, ca_file: str, timeout: float) -> tuple[http.client.HTTPConnection, str]:
    """A connection that is not open yet, and the prefix of all paths; raises ApiError."""
    if uri.startswith("unix:/"):
        return UnixConnection(uri[len("unix:") :], timeout), ""
    parts = urlsplit(uri)
    try:
        port = parts.port
    except ValueError:
        port = -1
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if port == -1 or not parts.hostname or parts.username or parts.query or parts.scheme not in (("https", "http") if local else ("https",)):
        raise ApiError(f"tracking_uri is '{re.sub('//.*@', '//', uri)}': that is no address of a server. Accepted: {NAMES}. Correct it; nothing was changed.")
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, port, timeout=timeout), parts.path.rstrip("/")
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ApiError(
            f"ca_file is '{ca_file}': it cannot be used ({error}). Accepted: a PEM file with the CA of the server, on the machine where the module runs, "
            "or '' for a public CA. Correct it; nothing was changed."
        ) from None
    return http.client.HTTPSConnection(parts.hostname, port, timeout=timeout, context=context), parts.path.rstrip("/")


class Api:
    """One person's view of one server."""

    def __init__(self, uri: str, username: str, password: str, ca_file: str = "", host: str = "", timeout: float = 60):
        self.uri, self.username = uri, username
        self.connection, self.prefix = connection_to(uri, ca_file, timeout)
        self.headers = {"Authorization": basic(username, password), "Content-Type": "application/json"}
        if host:
            self.headers["Host"] = host
        self.requests = 0

    def call(self, method: str, path: str, body: dict | None = None, query: dict | None = None, version: str = "2.0") -> dict[str, t.Any]:
        """The answer's JSON; raises ApiError for any other status than 200."""
        target = f"{self.prefix}/api/{version}/mlflow/{path}" + (f"?{urlencode(query)}" if query else "")
        status, text = self._exchange(method, target, None if body is None else json.dumps(body))
        try:
            answer = json.loads(text) if text.strip() else {}
        except ValueError:
            answer = {}
        if status != 200:
            raise self._error(status, answer, text, f"{method} {path}")
        return answer

    def _exchange(self, method: str, target: str, body: str | None) -> tuple[int, str]:
        for last in (False, True):
            idle = self.connection.sock is not None  # the server may close it at any time; only then a second try is right
            try:
                self.requests += 1
                self.connection.request(method, target, body, self.headers)
                answer = self.connection.getresponse()
                return answer.status, answer.read().decode(errors="replace")
            except (OSError, http.client.HTTPException) as error:
                self.connection.close()
                if idle and not last and isinstance(error, (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)):
                    continue
                raise self._silence(error) from None
        raise AssertionError  # the second try returns or raises

    def _silence(self, error: Exception) -> ApiError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return ApiError(
                f"tracking_uri is '{self.uri}': its certificate is not confirmed by the CA ({error.verify_message}). Accepted: a server whose name and CA "
                "fit. Give ca_file (on a server of this collection /etc/labtrack/tls/ca.pem), or correct the name; nothing was changed."
            )
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return ApiError(
            f"tracking_uri is '{self.uri}': MLflow does not answer ({reason}). Accepted: a server that runs and can be reached from the machine where the "
            "module runs. Start it, or correct the address."
        )

    def _error(self, status: int, answer: dict, text: str, what: str) -> ApiError:
        if status == 401:
            message = (
                f"username is '{self.username}': MLflow at {self.uri} refuses this login (the password is not shown). Accepted: the name and password of an "
                "administrator. Correct username and password, or what is in credentials_file."
            )
        elif status == 403:
            message = (
                f"username is '{self.username}': MLflow at {self.uri} forbids '{what}'. Accepted: the login of an administrator; a name in tracking_uri that "
                "the server accepts. Use that login."
            )
        else:
            message = f"MLflow at {self.uri} answered {status} to '{what}': {answer.get('message') or text.strip()[:ANSWER_CHARACTERS]}"
        return ApiError(message, status, str(answer.get("error_code", "")))

    def found(self, method: str, path: str, body: dict | None = None, query: dict | None = None, version: str = "2.0") -> dict[str, t.Any] | None:
        """As `call`; None where MLflow says that there is no such thing."""
        try:
            return self.call(method, path, body, query, version)
        except ApiError as error:
            if error.code == "RESOURCE_DOES_NOT_EXIST" or (error.status == 404 and not error.code):
                return None
            raise

    def pages(self, method: str, path: str, key: str, **asked: t.Any) -> list[dict]:
        """All pages of a search."""
        rows: list[dict] = []
        request = {"max_results": PAGE, **asked}
        while True:
            answer = self.call(method, path, **({"query": request} if method == "GET" else {"body": request}))
            rows += answer.get(key, [])
            if not answer.get("next_page_token"):
                return rows
            request = {**request, "page_token": answer["next_page_token"]}

    def server_version(self) -> str:
        """Version of MLflow, such as 3.17.2; raises ApiError."""
        status, text = self._exchange("GET", f"{self.prefix}/version", None)
        if status != 200:
            raise self._error(status, {}, text, "GET version")
        return text.strip()

    def is_accepted(self, username: str, password: str) -> bool:
        """Whether this login is right."""
        own, self.headers = self.headers, {**self.headers, "Authorization": basic(username, password)}
        try:
            self.call("GET", "users/get", query={"username": username})
        except ApiError as error:
            if error.status == 401:
                return False
            raise
        finally:
            self.headers = own
        return True
