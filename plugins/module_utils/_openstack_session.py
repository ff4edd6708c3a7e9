# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login and requests by openstacksdk; the only file that imports it.

The module_utils of openstack.cloud are not used: version 2.5.0 stops with openstacksdk 4.16 and newer, which has no `version` module, and they end the module
themselves, without a reason that a role could act on. What is needed here works from openstacksdk 1.0 on.
"""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_login import Login, refused_scope
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience

TRANSIENT = (408, 409, 425, 429, 500, 502, 503, 504)
UNKNOWN_NAME = ("Name or service not known", "No address associated", "nodename nor servname")


@dataclasses.dataclass(frozen=True)
class Reply:
    """An answer of Keystone."""

    status: int
    body: dict[str, t.Any]
    retry_after: float = 0.0

    @property
    def message(self) -> str:
        """What Keystone says about an error."""
        error = self.body.get("error")
        return str(error.get("message", "")) if isinstance(error, dict) else ""


class NoAnswerError(Exception):
    """The connection failed or broke; the request may have been carried out."""


def seconds(text: str | None) -> float:
    """Value of Retry-After, where it is a number."""
    return float(text) if text and text.isdigit() else 0.0


class Transport:
    """Requests below Keystone's /v3, with the token of the login."""

    def __init__(self, session: t.Any, url: str, exceptions: t.Any) -> None:
        self.session, self.url, self.exceptions = session, url, exceptions

    def call(self, method: str, path: str, body: dict[str, t.Any] | None = None) -> Reply:
        """One request. Nothing of it is logged: the answers hold secrets.

        Raises:
            NoAnswerError: the connection failed or broke.
            CloudError: it can never work.
        """
        extra = {"json": body} if body is not None else {}
        try:
            answer = self.session.request(f"{self.url}{path}", method, raise_exc=False, log=False, **extra)
        except self.exceptions.SSLError as error:
            raise CloudError("tls", str(error)) from error
        except (self.exceptions.ConnectionError, self.exceptions.RetriableConnectionFailure) as error:
            raise NoAnswerError(str(error)) from error
        except self.exceptions.ClientException as error:
            # the token had to be renewed, and could not be
            if getattr(error, "http_status", 0) in TRANSIENT:
                raise NoAnswerError(str(error)) from error
            raise login_error(error, {}, "") from error
        try:
            content = answer.json() if answer.content else {}
        except ValueError:
            content = {}
        return Reply(answer.status_code, content if isinstance(content, dict) else {}, seconds(answer.headers.get("Retry-After")))


def is_transient(error: Exception) -> bool:
    """Whether another try may succeed. A misspelt name of a host does not get better."""
    text = str(error)
    if any(phrase in text for phrase in UNKNOWN_NAME):
        return False
    status = getattr(error, "http_status", 0)
    return status in TRANSIENT or (not status and any(phrase in text for phrase in ("Unable to establish connection", "timed out")))


def login_error(error: Exception, auth: dict[str, t.Any], auth_type: str) -> CloudError:
    """What the exception of a login means. `auth` is looked at for names only."""
    kind, text, scope = type(error).__name__, str(error), refused_scope(auth)
    status = getattr(error, "http_status", 0)
    if "SSL" in kind or "SSL exception" in text or "CERTIFICATE_VERIFY" in text:
        return CloudError("tls", text)
    if scope and status in (400, 401):
        return CloudError("login_scope", ", ".join(scope))
    # Keystone says 404 of a token that was withdrawn and of an application credential that was deleted
    if status == 404 and "Could not find" in text:
        return CloudError("login", text)
    if status in (401, 403) or (status == 404 and "token" in auth_type and "token" in text.lower()):
        expired = "expired" in text.lower() or "token" in auth_type or not auth
        return CloudError("login_expired" if expired else "login", text)
    if status == 501 or kind in ("EmptyCatalog", "EndpointNotFound"):
        return CloudError("no_s3", text)
    if is_transient(error):
        return CloudError("unavailable", text)
    if "not a valid region name" in text:
        return CloudError("wrong_region", text.partition("Valid choices are ")[2].partition(". ")[0] or text)
    if scope and not status:
        # what keystoneauth finds wrong with it before it asks Keystone
        return CloudError("login_scope", ", ".join(scope))
    return CloudError("config", text)


def check_address(session: t.Any, url: str) -> None:
    """Whether the address says what it is without a login, as Keystone does. If not, keystoneauth's plugins without version wait for themselves for ever.

    Raises:
        CloudError: it does not.
    """
    if session.get(url, authenticated=False, raise_exc=False).status_code == 401:
        raise CloudError("config", f"auth_url {url} is no Keystone: it wants a login before it says what it is")


def connect(arguments: dict[str, t.Any], patience: Patience, log: tuple[str | None, str] = (None, "INFO")) -> tuple[Login, Transport]:
    """Log in.

    Args:
        arguments: what openstacksdk is told.
        log: path and level of openstacksdk's own log.

    Raises:
        CloudError: no login.
    """
    try:
        import openstack
        import openstack.config
        from keystoneauth1 import exceptions, plugin
        from keystoneauth1.identity.generic.base import BaseGenericPlugin
    except ImportError as error:
        raise CloudError("sdk", str(error)) from error
    if log[0]:
        openstack.enable_logging(debug=log[1] == "DEBUG", http_debug=log[1] == "DEBUG", path=log[0])
    auth: dict[str, t.Any] = {}
    auth_type = ""
    patience = patience.fresh()
    while True:
        try:
            # first what is configured, then whether that makes sense
            cloud = openstack.config.get_cloud_region(validate=False, **arguments)
            auth, auth_type = dict(cloud.config.get("auth") or {}), str(cloud.config.get("auth_type") or "")
            cloud = openstack.config.get_cloud_region(**arguments)
            session = cloud.get_session()
            if isinstance(session.auth, BaseGenericPlugin):
                check_address(session, auth["auth_url"])
            session.get_token()
            url, state = session.get_endpoint(interface=plugin.AUTH_INTERFACE), session.auth.get_auth_state()
            break
        except (exceptions.ClientException, exceptions.RetriableConnectionFailure, openstack.exceptions.SDKException) as error:
            if not is_transient(error) or not patience.again(seconds(getattr(error, "retry_after", None) and str(error.retry_after))):
                raise login_error(error, auth, auth_type) from error
        except (AttributeError, KeyError, NotImplementedError, TypeError, ValueError, OSError) as error:
            # openstacksdk passes on what a wrong value in clouds.yaml does to it
            raise CloudError("config", f"{type(error).__name__}: {error}") from error
    if not state or not url:
        raise CloudError("config", f"auth_type '{auth_type}' asks Keystone for no token")
    login = Login.from_token(url, json.loads(state)["body"]["token"], str(cloud.config.get("region_name") or ""))
    return login, Transport(session, login.url, exceptions)
