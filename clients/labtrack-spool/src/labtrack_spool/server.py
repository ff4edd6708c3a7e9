# SPDX-License-Identifier: GPL-3.0-or-later
"""The tracking server: MLflow's REST API with the login, the CA and the variables that MLflow's own client reads."""

from __future__ import annotations

import base64
import configparser
import contextlib
import json
import os
import queue
import random
import re
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import requests
from requests.adapters import HTTPAdapter

from labtrack_spool.errors import AmbiguousError, ApiError, SetupError

RETRY_STATUS = (408, 425, 429, 500, 502, 503, 504)
BACKOFF_SECONDS, BACKOFF_MAX_SECONDS = 0.5, 30.0
RANDOM = random.SystemRandom()
LOCAL_SCHEMES = re.compile(r"(file|sqlite|postgresql|mysql|mssql)\b")


def check_uri(uri: str) -> str:
    """The server's address without trailing slash.

    Raises:
        SetupError: it is no address of a server.
    """
    if not uri:
        raise SetupError("no server is named. Accepted: https://<server>. Give --to URL, or set MLFLOW_TRACKING_URI.")
    if LOCAL_SCHEMES.match(uri) or uri.startswith(("/", ".", "~")):
        raise SetupError(f"--to is '{uri}': that is a place on this computer. Accepted: https://<server>. Give --to URL, or set LABTRACK_SPOOL_SERVER.")
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SetupError(f"--to is '{uri}': a scheme or a name is missing. Accepted: https://<server>. Write it so.")
    if parts.username or parts.password:
        raise SetupError("--to holds a user name or password. Accepted: https://<server>. Keep the login in ~/.mlflow/credentials, mode 0600.")
    return uri.rstrip("/")


def find_login() -> tuple[str, str]:
    """User name and password as MLflow finds them: each from the environment, else from ~/.mlflow/credentials; empty where there is none."""
    username, password = os.environ.get("MLFLOW_TRACKING_USERNAME", ""), os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    path = Path("~/.mlflow/credentials").expanduser()
    if (username and password) or not path.exists():
        return username, password
    parser = configparser.ConfigParser()
    try:
        parser.read(path)
        stored = parser.get("mlflow", "mlflow_tracking_username", fallback=""), parser.get("mlflow", "mlflow_tracking_password", fallback="")
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read ({type(error).__name__}). Accepted: an INI file with [mlflow], '%' written '%%'. Write it again, mode 0600."
        raise SetupError(message) from None
    return username or stored[0], password or stored[1]


def tls_settings() -> bool | str:
    """What `requests` calls `verify`.

    Raises:
        SetupError: the named CA file does not exist.
    """
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"):
        return False
    for name in ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        path = os.environ.get(name)
        if path:
            if not os.path.exists(path):
                raise SetupError(f"{name} is '{path}': there is no such file. Accepted: the CA's certificate in PEM form. Correct or unset it.")
            return path
    return True


class Server:
    """REST calls over connections that are kept open; for several threads.

    Args:
        uri: address of the tracking server.
        timeout: seconds without a byte from the server until a request counts as lost.
        retries: how often a request is repeated after 429, 5xx, or a lost connection.
        on_retry: called with a sentence before each repetition.
    """

    def __init__(self, uri: str, timeout: float = 120, retries: int = 7, on_retry: Callable[[str], None] | None = None) -> None:
        self.uri = check_uri(uri)
        self.timeout, self.retries = timeout, retries
        self.on_retry = on_retry or (lambda _text: None)
        self.verify = tls_settings()
        self.certificate = os.environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH") or None
        self.headers = {"User-Agent": "labtrack-spool", "Accept": "application/json"} | self._authorization()
        if os.environ.get("MLFLOW_WORKSPACE"):
            self.headers["X-MLFLOW-WORKSPACE"] = os.environ["MLFLOW_WORKSPACE"]
        self._idle: queue.LifoQueue[requests.Session] = queue.LifoQueue()
        self._stop = threading.Event()
        self._fixed: dict[str, Any] = {"timeout": (20, timeout), "verify": self.verify, "cert": self.certificate, "allow_redirects": False}
        self.requests = 0

    @staticmethod
    def _authorization() -> dict[str, str]:
        username, password = find_login()
        if username and password:
            return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        return {"Authorization": f"Bearer {token}"} if token else {}

    def stop(self) -> None:
        """End waits between repetitions at once."""
        self._stop.set()

    @contextlib.contextmanager
    def _session(self) -> Iterator[requests.Session]:
        """A session of one thread at a time; its connection stays open for the next one."""
        try:
            session = self._idle.get_nowait()
        except queue.Empty:
            session = requests.Session()
            session.headers.update(self.headers)
            for scheme in ("http://", "https://"):
                session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0))
        try:
            yield session
        finally:
            self._idle.put(session)

    def send(self, method: str, path: str, *, repeatable: bool = True, body: Callable[[], Any] | bytes | None = None, **options: Any) -> requests.Response:
        """One request, repeated with growing waits.

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            path: below the server's address.
            repeatable: whether a repetition does no harm; otherwise a lost answer raises AmbiguousError.
            body: bytes, or a function that opens a new stream for each attempt.

        Raises:
            AmbiguousError: nobody knows whether the server did it.
            ApiError: the server refuses, or cannot be reached.
        """
        for attempt in range(self.retries + 1):
            problem, wait, sent, failure = "", 0.0, True, None
            try:
                stream = body() if callable(body) else body
                try:
                    self.requests += 1
                    with self._session() as session:
                        answer = session.request(method, self.uri + path, data=stream, **self._fixed, **options)
                finally:
                    if hasattr(stream, "close"):
                        stream.close()
                if answer.status_code < 300:
                    return answer
                failure = ApiError.of(method, path, answer, self.uri)
                if answer.status_code not in RETRY_STATUS:
                    raise failure
                problem, wait = str(failure), _retry_after(answer)
                sent = answer.status_code not in (425, 429, 503)  # these say that nothing was done
            except requests.exceptions.SSLError as error:
                advice = "Accepted: a certificate of a known CA. Set MLFLOW_TRACKING_SERVER_CERT_PATH to the ca.pem of your bundle."
                raise SetupError(f"the certificate of {self.uri} is not trusted ({_reason(error)}). {advice}") from None
            except (requests.exceptions.ConnectTimeout, requests.exceptions.ProxyError) as error:
                problem, sent = f"{self.uri} cannot be reached: {_reason(error)}", False
            except requests.exceptions.ConnectionError as error:
                problem, sent = f"{self.uri} cannot be reached: {_reason(error)}", "NewConnectionError" not in repr(error)
            except requests.exceptions.Timeout as error:
                problem = f"{self.uri} does not answer: {_reason(error)}"
            except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
                problem = f"the answer of {self.uri} broke off: {_reason(error)}"
            if sent and not repeatable:
                raise AmbiguousError(problem)
            if attempt == self.retries:
                break
            wait = max(wait, RANDOM.uniform(0.5, 1) * min(BACKOFF_MAX_SECONDS, BACKOFF_SECONDS * 2**attempt))
            self.on_retry(f"{problem}; again in {wait:.1f} s")
            if self._stop.wait(wait):
                break
        # an error of the server itself concerns this request; what is away is away for all
        raise failure if failure is not None and failure.status == 500 else ApiError(problem)

    def call(self, method: str, path: str, content: dict[str, Any] | None = None, *, version: str = "2.0", repeatable: bool = True) -> dict[str, Any]:
        """A call of MLflow's API; the decoded answer. GET and DELETE of version 2 take their parameters from `content`, too."""
        if method == "GET":
            answer = self.send(method, f"/api/{version}/mlflow/{path}", params=content)
        else:
            headers = {"Content-Type": "application/json"}
            answer = self.send(method, f"/api/{version}/mlflow/{path}", body=json.dumps(content or {}).encode(), headers=headers, repeatable=repeatable)
        return answer.json() if answer.content else {}

    def pages(self, method: str, path: str, content: dict[str, Any], key: str, *, version: str = "2.0") -> Any:
        """All entries of a paged answer, one after the other."""
        token = ""
        while True:
            answer = self.call(method, path, content | ({"page_token": token} if token else {}), version=version)
            yield from answer.get(key, [])
            token = answer.get("next_page_token", "")
            if not token:
                return


def _retry_after(answer: requests.Response) -> float:
    value = answer.headers.get("Retry-After", "")
    return min(float(value), 120.0) if value.isdigit() else 0.0


def _reason(error: BaseException) -> str:
    """The innermost words of a chain of exceptions."""
    text = str(error.args[0] if error.args else error)
    found = re.findall(r"(?:Caused by |: )(?:\w+\()?[\"']?(?:<[^>]*>: )?([^()\"']+)", text)
    return (found[-1] if found else text).strip()[:200]
