# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an external PostgreSQL, in words that say what to do. Changes nothing."""

from __future__ import annotations

import dataclasses
import re
import socket
import ssl
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils import _pgwire, _scram

OLDEST_VERSION = 14  # the oldest that the PostgreSQL project supports in November 2026
SYSTEM_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
QUESTION = (
    "select pg_encoding_to_char(encoding), pg_get_userbyid(datdba), pg_has_role(current_user, datdba, 'USAGE'),"
    " coalesce((select has_schema_privilege(oid, 'CREATE') from pg_namespace where nspname = 'public'), false)"
    " from pg_database where datname = current_database()"
)


@dataclasses.dataclass
class Verdict:
    """Problems (empty: MLflow can use the server), databases that do not exist, and the server that takes writes."""

    problems: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)
    host: str = ""
    port: int = 0
    version: str = ""


def targets(hosts: str, port: int) -> list[tuple[str, int]]:
    """Hosts and ports of a libpq list such as `a:5432,b`.

    Raises:
        ValueError: an entry is empty or its port is no number.
    """
    found = []
    for entry in hosts.split(","):
        match = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]\s]+)(?::(\d{1,5}))?", entry.strip())
        if not match or not 0 < int(match[2] or port) < 65536:
            raise ValueError(f"'{entry.strip()}' is neither a host nor host:port")
        found.append((match[1].strip("[]"), int(match[2] or port)))
    return found


def tls_context(ca_file: str) -> ssl.SSLContext:
    """What libpq calls verify-full.

    Raises:
        OSError: the file of authorities cannot be read, or holds no certificate (ssl.SSLError).
    """
    return ssl.create_default_context(cafile=ca_file or SYSTEM_CA_FILE)


class Doctor:
    """Connects as MLflow will, to one server after the other until one takes writes."""

    def __init__(self, user: str, password: str, context: ssl.SSLContext, timeout: float = 10) -> None:
        self._login = {"user": user, "password": password}
        self._context, self._timeout = context, timeout

    def examine(self, servers: t.Sequence[tuple[str, int]], databases: t.Sequence[str], own: bool = True) -> Verdict:
        """Check the login to each database; `own` also wants owner's rights there."""
        refused: list[str] = []
        for server in servers:
            verdict = Verdict(host=server[0], port=server[1])
            if all(self._database(verdict, server, name, own) for name in databases):
                return verdict
            refused += [problem for problem in verdict.problems if problem not in refused]
        return Verdict(problems=refused)

    def _database(self, verdict: Verdict, server: tuple[str, int], name: str, own: bool) -> bool:
        """Add what is wrong with one database; False when another server has to be asked."""
        place = f"database '{name}' on {server[0]}:{server[1]}"
        try:
            with _pgwire.Connection(server, {**self._login, "database": name}, self._context, self._timeout) as connection:
                if connection.parameters.get("in_hot_standby") == "on" or connection.parameters.get("default_transaction_read_only") == "on":
                    verdict.problems.append(f"{place} is read-only. Accepted: a primary. Add the host that takes writes to the list.")
                    return False
                verdict.version = connection.parameters["server_version"]
                verdict.problems += [f"{place} {text}" for text in self._inside(connection, own)]
        except _pgwire.ServerError as error:
            if error.sqlstate == "3D000":
                verdict.missing.append(name)
            verdict.problems.append(f"{place}: {self._refusal(error)}")
            return not error.sqlstate.startswith(("53", "57"))  # out of resources, starting up: perhaps another server
        except (OSError, _pgwire.NoTlsError, _pgwire.ProtocolError, _scram.ScramError) as error:
            verdict.problems.append(f"{place}: {unreachable(error)}")
            return False
        return True

    def _inside(self, connection: _pgwire.Connection, own: bool) -> t.Iterator[str]:
        version = connection.parameters["server_version"]
        if int(re.match(r"\d*", version)[0] or 0) < OLDEST_VERSION:
            yield f"runs PostgreSQL {version}. Accepted: {OLDEST_VERSION} or newer. Upgrade the server."
        if not own:
            return
        encoding, owner, member, creates = connection.query(QUESTION)[0]
        if encoding != "UTF8":
            yield f"has the encoding {encoding}. Accepted: UTF8. Create it again with ENCODING 'UTF8' TEMPLATE template0."
        if member != "t":
            yield f"belongs to '{owner}'. Accepted: the user '{self._login['user']}' as owner. Run ALTER DATABASE … OWNER TO there."
        elif creates != "t":
            yield f"does not let '{self._login['user']}' create tables in schema public. Run ALTER SCHEMA public OWNER TO pg_database_owner there."

    def _refusal(self, error: _pgwire.ServerError) -> str:
        user = self._login["user"]
        return {
            "28P01": f"the password of user '{user}' is refused, or there is no such user. Correct the password.",
            "28000": f"the server does not admit user '{user}' from here ({error}). Allow it in the server's pg_hba.conf (hostssl, scram-sha-256).",
            "3D000": "it does not exist. Create it on the server, or let this collection do so (postgresql_admin_user).",
            "42501": f"user '{user}' has no right to connect ({error}). Grant CONNECT.",
            "53300": f"the server has no connection left ({error}). Raise its max_connections.",
        }.get(error.sqlstate, f"the server refuses: {error} (SQLSTATE {error.sqlstate}).")


def unreachable(error: Exception) -> str:
    """Words for a connection that was not made, or was not safe."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}. Give the CA that signed it (site_database_ca_file) and a host name that it carries."
    if isinstance(error, _pgwire.NoTlsError):
        return "it does not speak TLS. Accepted: a server with ssl = on."
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved. Check the spelling and DNS."
    if isinstance(error, (TimeoutError, socket.timeout)):
        return "it does not answer. Check the address, the port and the firewall in between."
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "reason", None) or error
        return f"no TLS connection comes about ({reason}). Accepted: PostgreSQL with TLS 1.2 or newer. Check the host and the port."
    if isinstance(error, OSError):
        return f"it cannot be reached ({getattr(error, 'strerror', None) or error}). Check the address, the port and that the server listens there."
    return f"{error}."
