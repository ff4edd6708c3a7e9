# SPDX-License-Identifier: GPL-3.0-or-later
"""What fails behind MLflow, in words for the person who reads them: 503 for clients, who try again, and a line in the journal for the administrator.

MLflow 3.17 answers 401 when the store refuses the server's own key (clients then doubt their login, and are banned for guessing passwords),
500 without a word when the store does not answer, and 400, which no client repeats, when a connection to the database breaks at the wrong moment.
"""

from __future__ import annotations

import logging
import socket
import time
from typing import Any

import boto3
import psycopg2
import sqlalchemy
from botocore.config import Config
from botocore.exceptions import ConnectionError as StoreConnectionError
from botocore.exceptions import HTTPClientError, UnseekableStreamError
from incoming import CutOffError
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from sqlalchemy.engine import Engine, ExceptionContext

CONNECT_SECONDS = 5  # botocore's own 60, five times, would outlast every client
ATTEMPTS = 3
SAFE = "What the server has confirmed is safe; this request is not stored."
KEY = f"The object store refuses this server's key ({{code}}). Your own login is not the reason. {SAFE} Administrator: give a valid key \
(site_s3_access_key, site_s3_secret_key, or playbooks/rotate_credentials.yml), then run site.yml."
MEANING = {
    **dict.fromkeys(("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "UserSuspended", "AccountProblem", "403"), KEY),
    "NoSuchBucket": f"The bucket of this site no longer exists in the object store ({{code}}). {SAFE} Administrator: do not make an empty one; ask the \
store's operators, or restore the artifacts.",
    "RequestTimeTooSkewed": f"The clock of this server and that of the object store differ too much ({{code}}). {SAFE} Administrator: see 'timedatectl'.",
    **dict.fromkeys(
        ("QuotaExceeded", "InsufficientCapacity", "EntityTooLarge"),
        f"The object store takes no more ({{code}}): a quota is used up, or the file is too large for it. {SAFE} Administrator: ask the store's operators.",
    ),
}
OVERLOADED = f"The object store is overloaded or under repair ({{code}}). {SAFE} Try again; MLflow's client does so by itself."
SILENT = f"The object store {{endpoint}} does not answer: {{cause}}. {SAFE} Try again; MLflow's client does so by itself. Administrator: run check_site.yml."
DISK = f"The database has no space left on its disk. {SAFE} Administrator: free or enlarge the data volume ('df -h'); nothing needs a restart."
DOWN = f"The database does not answer: {{cause}}. {SAFE} Try again; MLflow's client does so by itself. Administrator: 'systemctl status postgresql@*'."
MISSING = "The database {cause}. Nobody can log in without it, and nothing was changed. Administrator: restore it from the backup."
DATABASE_CLASSES = ("08", "53", "57P", "58", "25006", "XX")  # connection, resources, shutdown, system, read only, internal: PostgreSQL's manual, appendix A
LOG_SECONDS = 10
said: dict[str, float] = {}
log = logging.getLogger("labtrack")


def unavailable(text: str) -> MlflowException:
    """The answer; the journal gets the same sentence, not more often than every few seconds."""
    if said.get(text, -LOG_SECONDS) + LOG_SECONDS <= time.monotonic():
        said.clear()
        said[text] = time.monotonic()
        log.warning(text)
    return MlflowException(text, TEMPORARILY_UNAVAILABLE)


def innermost(error: BaseException) -> BaseException:
    """What botocore and urllib3 have wrapped."""
    seen = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = [getattr(error, "kwargs", {}).get("error"), getattr(error, "reason", None), *error.args, error.__cause__, error.__context__]
        error = next((found for found in inner if isinstance(found, BaseException) and id(found) not in seen), error)
    return error


def cause_of(exception: BaseException) -> str:
    """The reason of a failed connection, as the system names it."""
    error = innermost(exception)
    if isinstance(exception, UnseekableStreamError):
        return "the connection broke in the middle of the upload"
    if isinstance(error, socket.gaierror):
        return f"its name is not known to DNS ({error.strerror})"
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)).rstrip(".") or type(error).__name__


def explain_answer(parsed: dict[str, Any], http_response: Any, **_others: Any) -> None:
    """After each answer of the store.

    Raises:
        MlflowException: it is one that a client can do nothing about.
    """
    if http_response.status_code < 400:
        return
    code = str(parsed.get("Error", {}).get("Code", http_response.status_code))
    if code in MEANING:
        raise unavailable(MEANING[code].format(code=code))
    if http_response.status_code >= 500 or code == "SlowDown":
        raise unavailable(OVERLOADED.format(code=code))


def explain_silence(exception: BaseException, **others: Any) -> None:
    """After a request that got no answer.

    Raises:
        MlflowException: the store is the reason.
    """
    if exception.__class__ == HTTPClientError and (isinstance(innermost(exception), CutOffError) or not isinstance(innermost(exception), OSError)):
        return  # the client has gone away
    if isinstance(exception, (StoreConnectionError, HTTPClientError, UnseekableStreamError)):
        url = str(getattr(exception, "kwargs", {}).get("endpoint_url") or "")
        endpoint = "/".join(url.split("/")[:3]) or "of this site"
        raise unavailable(SILENT.format(endpoint=endpoint, cause=cause_of(exception))) from exception


def watch_store() -> None:
    """For every client that is made from now on as MLflow makes it; after deletions.install()."""
    boto3.DEFAULT_SESSION.events.register("after-call.s3", explain_answer)
    boto3.DEFAULT_SESSION.events.register("after-call-error.s3", explain_silence)
    options = Config(connect_timeout=CONNECT_SECONDS, retries={"mode": "standard", "total_max_attempts": ATTEMPTS})
    boto3.DEFAULT_SESSION._session.set_default_client_config(options)


def explain_database(context: ExceptionContext) -> None:
    """After a failed statement or connection.

    Raises:
        MlflowException: the database is the reason, and not the statement.
    """
    error = context.original_exception
    if context.is_pre_ping or not isinstance(error, psycopg2.Error):
        return
    code = error.pgcode or ""
    lines = [line for line in str(error).strip().split("\n") if not line.startswith("\t")]  # libpq's advice is indented
    first = lines[-1 if context.connection is None else 0].removeprefix("connection to server ").strip()
    if code == "53100":
        raise unavailable(DISK) from error
    if code == "3D000" or (not code and "does not exist" in first):
        raise unavailable(MISSING.format(cause=first.split("FATAL:")[-1].strip().removeprefix("database "))) from error
    if code.startswith(DATABASE_CLASSES) or (not code and isinstance(error, (psycopg2.OperationalError, psycopg2.InterfaceError))):
        raise unavailable(DOWN.format(cause=first.split("FATAL:")[-1].strip().rstrip("."))) from error


def watch_database() -> None:
    """For every engine of this process."""
    sqlalchemy.event.listen(Engine, "handle_error", explain_database)
