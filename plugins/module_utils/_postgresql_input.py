# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the settings and remote clients that a site gives for its PostgreSQL: sentences, before anything changes."""

from __future__ import annotations

import difflib
import re
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils import _cidr

TRUTH = {"on", "off", "true", "false", "yes", "no", "1", "0"}
NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?\s*(B|kB|MB|GB|TB|us|ms|s|min|h|d)?")
OWN = {
    "listen_addresses": "postgresql_listen_addresses",
    "port": "postgresql_port",
    "data_directory": "postgresql_data_dir",
    "max_connections": "postgresql_connections_max",
    "ssl_cert_file": "postgresql_tls_certificate_file",
    "ssl_key_file": "postgresql_tls_key_file",
}
FIXED = {"hba_file", "ident_file", "config_file", "external_pid_file", "unix_socket_directories", "ssl", "password_encryption", "fsync", "full_page_writes"}
LOGGING = {
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
    "log_min_duration_sample": "-1",
    "auto_explain.log_min_duration": "-1",
}
MEGABYTES = {"": 1 / 128, "B": 1 / 1048576, "kB": 1 / 1024, "MB": 1, "GB": 1024, "TB": 1048576}


def catalogue(text: str) -> dict[str, tuple[str, set[str]]]:
    """Parameters by name with type and accepted words, from lines of `name<TAB>type[<TAB>words]`."""
    rows = [line.split("\t") for line in text.splitlines() if line]
    return {row[0]: (row[1], set(row[2].split(",")) if row[2:] else set()) for row in rows}


def text_of(value: object) -> str:
    """A value as PostgreSQL reads it."""
    return {True: "on", False: "off"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def setting_problems(settings: t.Mapping[str, object], known: t.Mapping[str, tuple[str, set[str]]], memory_mb: int) -> list[str]:
    """One sentence for each setting that PostgreSQL would refuse, or that the role sets from elsewhere."""
    found = []
    for name, value in settings.items():
        text = text_of(value)
        problem = _place(name, known) or (_value(text, *known[name]) if name in known else "") or _policy(name, text, memory_mb)
        if problem:
            found.append(f"postgresql_settings.{name} is '{text}': {problem}")
    return found


def _place(name: str, known: t.Mapping[str, tuple[str, set[str]]]) -> str:
    if name in OWN:
        return f"the role sets it. Accepted: other settings. Set {OWN[name]} instead."
    if name in FIXED:
        return "the role needs its own value. Accepted: other settings. Remove it."
    if name in known or re.fullmatch(r"[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*", name):
        return ""
    close = difflib.get_close_matches(name, known, 1)
    hint = f" Did you mean '{close[0]}'?" if close else ""
    return f"this version has no such setting.{hint} Accepted: the names in PostgreSQL's manual, or extension.name. Correct or remove it."


def _value(text: str, kind: str, words: set[str]) -> str:
    if kind == "bool" and text.lower() not in TRUTH:
        return "not a truth value. Accepted: on, off. Correct it."
    if kind in ("integer", "real") and not NUMBER.fullmatch(text):
        return "not a number. Accepted: a number with or without a unit (B kB MB GB TB us ms s min h d). Correct it."
    if kind == "enum" and text.lower() not in words | (TRUTH if "on" in words else set()):
        return f"not a value of this setting. Accepted: {', '.join(sorted(words))}. Correct it."
    if "\n" in text:
        return "more than one line. Accepted: one line. Correct it."
    return ""


def _policy(name: str, text: str, memory_mb: int) -> str:
    if name in LOGGING and text.lower() != LOGGING[name]:
        return f"statements carry values (psycopg2 puts them into the text), and they would be in the log. Accepted: {LOGGING[name]}. Use pg_stat_statements."
    if name == "synchronous_commit" and text.lower() in TRUTH - {"on", "true", "yes", "1"}:
        return "a power-off would lose writes that MLflow's clients have been told are stored. Accepted: on, local, remote_write, remote_apply. Remove it."
    if name == "shared_buffers" and memory_mb:
        match = re.fullmatch(r"(\d+)\s*([kMGT]?B)?", text)
        if match and int(match[1]) * MEGABYTES[match[2] or ""] > memory_mb * 0.6:
            return f"more than 60 % of the machine's {memory_mb} MB. Accepted: less (25 % is PostgreSQL's advice). Lower it."
    return ""


def client_problems(clients: t.Sequence[t.Mapping[str, str]], databases: t.Sequence[t.Mapping[str, str]]) -> list[str]:
    """One sentence for each remote client that is not safe or names something that is not there; never a password."""
    owners = {(database["name"], database["owner"]) for database in databases}
    found = []
    for index, client in enumerate(clients):
        place = f"postgresql_remote_clients[{index}]"
        bad = _cidr.problem(client["cidr"])
        if bad:
            found.append(f"{place}.cidr: {bad}. Accepted: a network such as 192.0.2.7/32. Correct it.")
        elif client["cidr"].endswith("/0"):
            found.append(f"{place}.cidr is '{client['cidr']}': the whole world. Accepted: the networks of the tracking servers. Narrow it.")
        if (client["database"], client["user"]) not in owners:
            pairs = ", ".join(sorted(f"{name} of {owner}" for name, owner in owners))
            problem = f"{place} is '{client['user']}' on '{client['database']}': no such pair."
            found.append(f"{problem} Accepted: {pairs}. Correct it or add it to postgresql_databases.")
        if len(client.get("password") or "") < 12:
            found.append(f"{place}.password has fewer than 12 characters. Accepted: 12 or more. Give a generated one.")
    passwords: dict[str, str] = {}
    for client in clients:
        if passwords.setdefault(client["user"], client.get("password") or "") != (client.get("password") or ""):
            found.append(f"postgresql_remote_clients: user '{client['user']}' has two passwords. Accepted: one for each user. Use the same.")
    return found
