# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail relay with TLS and a login (aiosmtpd), and a webhook; both write what they get to /run/received, a line of JSON each."""

from __future__ import annotations

import json
import ssl
import threading
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult

RECEIVED = "/run/received"


def keep(kind: str, **content: object) -> None:
    """Append a line."""
    with open(RECEIVED, "a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, **content}) + "\n")


class Mail:
    """Takes every mail."""

    async def handle_DATA(self, _server, session, envelope) -> str:  # the library's name
        # as a person reads it: on its way a long line is broken anywhere
        text = message_from_bytes(envelope.content, policy=policy.default).get_body(("html", "plain")).get_content()
        keep("mail", sender=envelope.mail_from, to=envelope.rcpt_tos, tls=session.ssl is not None, text=text)
        return "250 OK"


def login(_server, _session, _envelope, _mechanism, data) -> AuthResult:
    """One name with its password."""
    return AuthResult(success=(data.login, data.password) == (b"alerts", b"CANARY-smtp-0123456789abcdef"))


class Hook(BaseHTTPRequestHandler):
    """Takes every POST."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        keep("hook", path=self.path, alerts=[alert["labels"]["alertname"] for alert in body["alerts"]], status=body["status"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Silent."""


def main() -> None:
    """Serve for ever."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain("/etc/labtrack/tls/fullchain.pem", "/etc/labtrack/tls/privkey.pem")
    # as Postfix, Exim and Exchange ask; this library's own words end with NUL, and Alertmanager gives up at a question that it does not know
    SMTP.AuthLoginUsernameChallenge, SMTP.AuthLoginPasswordChallenge = "Username:", "Password:"
    options = {"tls_context": context, "require_starttls": True, "authenticator": login, "auth_required": True}
    Controller(Mail(), hostname="", port=2525, **options).start()
    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", 2580), Hook).serve_forever).start()


if __name__ == "__main__":
    main()
