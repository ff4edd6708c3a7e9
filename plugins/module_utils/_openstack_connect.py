# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Login by openstacksdk, for requests to all services of a cloud; the usual mistakes are told apart."""

from __future__ import annotations

import json
import os
import typing as t
import urllib.parse

from ansible_collections.labtrack.mlflow.plugins.module_utils._cloud_profiles import RETIRED, Profile
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Access, Cloud, Json
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_login import Login
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import LOGIN, ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import NoAnswerError, Reply, check_address, is_transient, login_error, seconds

# of openstacksdk's proxies; versions of the API beyond the first are not needed
READ_SECONDS = 40.0  # a question whose answer is lost is asked again after that; what changes something is given api_timeout
SERVICES = {"compute": {"microversion": "2.1"}, "network": {}, "block_storage": {}, "image": {}}
CREDENTIAL = "an application credential made in the dashboard of {title}; passwords do not work there"


def check_entry(arguments: Json, loader: t.Any, places: list[str], environment: t.Mapping[str, str]) -> None:
    """Whether there is such an entry of clouds.yaml at all.

    Raises:
        ServerError: there is not.
    """
    name = arguments.get("cloud") or environment.get("OS_CLOUD") or ""
    entries = [entry for entry in loader.get_cloud_names() if entry != "envvars"]
    if name and not loader.config_filename:
        raise ServerError("no_clouds_yaml", ", ".join(dict.fromkeys(places)))
    if name and name not in entries and name != "envvars":
        raise ServerError("unknown_cloud", ", ".join(entries) + f" (of {loader.config_filename})")
    if not name and not environment.get("OS_AUTH_URL") and not arguments.get("auth"):
        raise ServerError("no_login", f" ({', '.join(entries)})" if entries else "")


def check_place(url: str, profile: Profile) -> None:
    """Whether the login is at the cloud of the profile.

    Raises:
        ServerError: that cloud was shut down, or is another one.
    """
    host = urllib.parse.urlsplit(url).hostname or ""
    if host in RETIRED:
        raise ServerError("retired", f"its auth_url is {url}: {RETIRED[host]}")
    if profile.identity_host and host != profile.identity_host:
        raise ServerError("wrong_cloud", host)


def translated(error: CloudError, profile: Profile) -> ServerError:
    """A failed login in this role's words."""
    reason = error.reason if error.reason in LOGIN else "config"
    if reason == "login" and profile.logins == ("application_credential",):
        return ServerError(reason, error.detail, logins=CREDENTIAL.format(title=profile.title))
    return ServerError(reason, error.detail)


class Sender:
    """Makes one request."""

    def __init__(self, connection: t.Any, exceptions: t.Any, broken: type[Exception], read_seconds: float = READ_SECONDS) -> None:
        self.connection, self.exceptions, self.broken, self.read_seconds = connection, exceptions, broken, read_seconds

    def __call__(self, service: str, method: str, path: str, body: Json | None) -> Reply:
        """An answer of the service, whatever its status.

        Raises:
            NoAnswerError: none came.
            ServerError: none ever will.
        """
        extra: Json = dict(SERVICES[service])
        if body is not None:
            extra["json"] = body
        if method == "GET":
            extra["timeout"] = self.read_seconds
        try:
            answer = getattr(self.connection, service).request(path, method, raise_exc=False, connect_retries=0, **extra)
        except (self.exceptions.ConnectionError, self.exceptions.RetriableConnectionFailure) as error:
            raise NoAnswerError(str(error)) from error
        except (self.exceptions.ClientException, self.broken) as error:
            if is_transient(error):
                raise NoAnswerError(str(error)) from error
            if getattr(error, "http_status", 0) == 401:
                raise ServerError("login_expired", str(error)) from error
            raise ServerError("no_service", f"{service} ({error})") from error
        except OSError as error:
            # requests' own, such as a file of CAs that is not there any more
            raise ServerError("config", f"{type(error).__name__}: {error}") from error
        try:
            content = answer.json() if answer.content else {}
        except ValueError:
            content = {}
        return Reply(answer.status_code, content if isinstance(content, dict) else {}, seconds(answer.headers.get("Retry-After")))


def access_of(url: str, token: Json, region: str) -> Access:
    """Who is logged in.

    Raises:
        ServerError: for no project, or in no such region.
    """
    try:
        login = Login.from_token(url, token, region)
    except CloudError as error:
        raise ServerError(error.reason, error.detail) from error
    roles = tuple(sorted(role.get("name", "") for role in token.get("roles", [])))
    return Access(login.project_id, login.project_name, roles, tuple(login.methods), login.expires_at, login.url, region)


def auth_of(config: Json) -> Json:
    """What is told to the login. As long as openstacksdk has not validated it, what comes from the environment stands beside the rest."""
    beside = {name: value for name, value in config.items() if name == "auth_url" or name.startswith("application_credential")}
    return {**beside, **(config.get("auth") or {})}


def connect(arguments: Json, profile: Profile, patience: Patience) -> Cloud:
    """Log in.

    Raises:
        ServerError: no login.
    """
    try:
        import openstack
        import openstack.config
        import openstack.connection
        from keystoneauth1 import exceptions, plugin
        from keystoneauth1.identity.generic.base import BaseGenericPlugin
        from openstack.config import loader
    except ImportError as error:
        raise ServerError("sdk", str(error)) from error
    auth: Json = {}
    auth_type, again = "", patience.fresh()
    while True:
        try:
            if not isinstance(arguments.get("auth"), dict):
                check_entry(arguments, openstack.config.OpenStackConfig(), loader.CONFIG_SEARCH_PATH, os.environ)
            given = {name: value for name, value in arguments.items() if value not in (None, "")}
            # first what is configured, then whether that makes sense
            region = openstack.config.get_cloud_region(validate=False, **given)
            auth, auth_type = auth_of(region.config), str(region.config.get("auth_type") or "")
            check_place(str(auth.get("auth_url") or ""), profile)
            region = openstack.config.get_cloud_region(**given)
            session = region.get_session()
            if isinstance(session.auth, BaseGenericPlugin):
                check_address(session, session.auth.auth_url)
            session.get_token()
            url, state = session.get_endpoint(interface=plugin.AUTH_INTERFACE), session.auth.get_auth_state()
            break
        except (exceptions.ClientException, exceptions.RetriableConnectionFailure, openstack.exceptions.SDKException) as error:
            if not is_transient(error) or not again.again():
                raise translated(login_error(error, auth, auth_type), profile) from error
        except CloudError as error:
            raise translated(error, profile) from error
        except (AttributeError, KeyError, NotImplementedError, TypeError, ValueError, OSError) as error:
            # openstacksdk passes on what a wrong value in clouds.yaml does to it
            raise ServerError("config", f"{type(error).__name__}: {error}") from error
    if not state or not url:
        raise ServerError("config", f"auth_type '{auth_type}' asks Keystone for no token")
    access = access_of(url, json.loads(state)["body"]["token"], str(region.config.get("region_name") or ""))
    read_seconds = min(float(region.config.get("api_timeout") or READ_SECONDS), READ_SECONDS)
    return Cloud(Sender(openstack.connection.Connection(config=region), exceptions, openstack.exceptions.SDKException, read_seconds), access, patience)
