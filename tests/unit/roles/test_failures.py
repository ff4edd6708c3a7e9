# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client and the journal say when store or database fail; with boto3's and psycopg2's own errors, and stand-ins for MLflow and SQLAlchemy."""

from __future__ import annotations

import importlib.util
import socket
import sys
import types
from pathlib import Path

import boto3
import psycopg2
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

SERVER = Path(__file__).resolve().parents[3] / "roles" / "tracking_server" / "files" / "server"


class MlflowError(Exception):
    """Text and code."""


@pytest.fixture
def failures(monkeypatch):
    def module(name, **members):
        made = types.ModuleType(name)
        vars(made).update(members)
        monkeypatch.setitem(sys.modules, name, made)
        return made

    module("mlflow")
    module("mlflow.exceptions", MlflowException=MlflowError)
    module("mlflow.protos")
    module("mlflow.protos.databricks_pb2", TEMPORARILY_UNAVAILABLE="503")
    module("sqlalchemy", event=types.SimpleNamespace(listen=lambda *_: None))
    module("sqlalchemy.engine", Engine=object, ExceptionContext=object)
    monkeypatch.syspath_prepend(str(SERVER))
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    boto3.setup_default_session()
    specification = importlib.util.spec_from_file_location("failures", SERVER / "failures.py")
    loaded = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(loaded)
    loaded.watch_store()
    yield loaded
    sys.modules.pop("incoming", None)


def client(answer=None, endpoint="https://store.invalid"):
    """A client whose store answers with a status and a code."""
    made = boto3.client(
        "s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b", endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1})
    )
    if answer:
        status, code = answer
        content = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()

        class Raw:
            """What urllib3 would give."""

            def stream(self):
                yield content

        made.meta.events.register("before-send.s3", lambda request, **_others: AWSResponse(request.url, status, {}, Raw()))
    return made


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "InvalidAccessKeyId", "refuses this server's key (InvalidAccessKeyId). Your own login is not the reason"),
        (403, "SignatureDoesNotMatch", "refuses this server's key"),
        (403, "AccessDenied", "refuses this server's key"),
        (404, "NoSuchBucket", "no longer exists"),
        (403, "RequestTimeTooSkewed", "clock"),
        (403, "QuotaExceeded", "takes no more"),
        (503, "SlowDown", "overloaded"),
        (500, "InternalError", "overloaded or under repair (InternalError)"),
    ],
)
def test_an_answer_that_a_client_can_do_nothing_about_is_a_503_with_a_reason(failures, caplog, status, code, words):
    with pytest.raises(MlflowError) as raised:
        client((status, code)).put_object(Bucket="b", Key="k", Body=b"x")
    text, number = raised.value.args
    assert words in text
    assert number == "503"
    assert text in caplog.text


@pytest.mark.parametrize(("status", "code"), [(404, "NoSuchKey"), (416, "InvalidRange"), (412, "PreconditionFailed")])
def test_other_answers_are_mlflow_s(failures, status, code):
    with pytest.raises(Exception, match=code) as raised:
        client((status, code)).get_object(Bucket="b", Key="k")
    assert type(raised.value).__name__ in ("ClientError", code)


def test_a_refused_connection_names_the_store_and_the_reason(failures):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(MlflowError, match=r"The object store http://127\.0\.0\.1:\d+ does not answer: Connection refused\."):
        client(endpoint=f"http://127.0.0.1:{port}").put_object(Bucket="b", Key="k", Body=b"x")


def test_a_name_that_is_gone(failures):
    with pytest.raises(MlflowError, match="its name is not known to DNS"):
        client(endpoint="http://no-such-host.invalid").put_object(Bucket="b", Key="k", Body=b"x")


def test_a_client_that_went_away_is_not_the_store_s_fault(failures, caplog):
    class Body:
        """Breaks off."""

        def read(self, _size=-1):
            raise failures.CutOffError("went away")

        def tell(self):
            return 0

        def seek(self, *_position):
            return 0

    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(Exception, match="went away") as raised:
        client(endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}").put_object(Bucket="b", Key="k", Body=Body(), ContentLength=5)
    assert not isinstance(raised.value, MlflowError)
    assert "object store" not in caplog.text


def context(error, connection=None, ping=False):
    return types.SimpleNamespace(original_exception=error, connection=connection, is_pre_ping=ping)


def postgresql(code: str, text: str = "text") -> psycopg2.Error:
    """An error as psycopg2 raises it; `pgcode` is read-only, so another class has it."""
    return type("Raised", (psycopg2.OperationalError,), {"pgcode": code or None})(text)


SOCKET = 'connection to server on socket "/var/run/postgresql/.s.PGSQL.5432" failed: '


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (postgresql("53100", "could not extend file"), "no space left on its disk"),
        (postgresql("57P01", "terminating connection due to administrator command"), "does not answer: terminating connection"),
        (postgresql("", SOCKET + "FATAL:  the database system is starting up"), "does not answer: the database system is starting up."),
        (postgresql("", SOCKET + 'FATAL:  database "mlflowauth" does not exist'), 'The database "mlflowauth" does not exist. Nobody can log in'),
        (postgresql("", SOCKET + "No such file or directory\n\tIs the server running locally?"), "No such file or directory."),
        (psycopg2.InterfaceError("connection already closed"), "does not answer: connection already closed."),
        (postgresql("25006", "cannot execute INSERT in a read-only transaction"), "read-only"),
    ],
)
def test_a_database_that_fails_is_a_503_with_a_reason(failures, error, words):
    with pytest.raises(MlflowError) as raised:
        failures.explain_database(context(error))
    assert words in raised.value.args[0]
    assert raised.value.args[1] == "503"


@pytest.mark.parametrize("code", ["40P01", "57014", "55P03"])
def test_deadlocks_and_time_outs_are_mlflow_s(failures, code):
    assert failures.explain_database(context(postgresql(code))) is None


def test_the_pool_may_find_a_dead_connection(failures):
    assert failures.explain_database(context(postgresql("57P01"), ping=True)) is None


def test_a_value_is_in_no_message(failures):
    with pytest.raises(MlflowError) as raised:
        failures.explain_database(context(postgresql("53100", "could not extend\nCONTEXT: secret value"), "made"))
    assert "secret" not in raised.value.args[0]
