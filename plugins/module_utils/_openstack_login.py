# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is logged in, read from the token itself: an application credential may list neither services nor the catalogue."""

from __future__ import annotations

import dataclasses
import re
import typing as t
import urllib.parse

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError

Json = dict[str, t.Any]
SCOPE = ("project_id", "project_name", "tenant_id", "tenant_name", "domain_id", "domain_name", "system_scope", "trust_id")
STORE_TYPES = ("s3", "object-store")


def identity_url(auth_url: str) -> str:
    """Address of Keystone's API, version 3, from what the login uses."""
    return re.sub(r"/v(3|2\.0)(/.*)?$", "", auth_url.rstrip("/")) + "/v3"


def refused_scope(auth: Json) -> list[str]:
    """Names of what asks for a project beside an application credential; Keystone refuses such a login."""
    if not any(name.startswith("application_credential") and auth[name] for name in auth):
        return []
    return [name for name in SCOPE if auth.get(name)]


@dataclasses.dataclass(frozen=True)
class Login:
    """A token without the token."""

    url: str
    user_id: str
    user_name: str
    project_id: str
    project_name: str
    methods: list[str]
    expires_at: str
    application_credential: Json
    trust_id: str
    catalog: list[Json]
    region: str = ""

    @classmethod
    def from_token(cls, auth_url: str, token: Json, region: str = "") -> Login:
        """From the `token` of Keystone's answer.

        Args:
            region: the region that was asked for.

        Raises:
            CloudError: the login is for no project, or the cloud has no such region.
        """
        user, project = token.get("user", {}), token.get("project") or {}
        if not project.get("id"):
            raise CloudError("no_project")
        login = cls(
            url=identity_url(auth_url),
            user_id=user["id"],
            user_name=user.get("name", ""),
            project_id=project["id"],
            project_name=project.get("name", ""),
            methods=list(token.get("methods", [])),
            expires_at=token.get("expires_at", ""),
            application_credential=token.get("application_credential") or {},
            trust_id=(token.get("OS-TRUST:trust") or {}).get("id", ""),
            catalog=token.get("catalog") or [],
            region=region,
        )
        if region and login.regions() and region not in login.regions():
            raise CloudError("wrong_region", ", ".join(login.regions()))
        return login

    @property
    def is_application_credential(self) -> bool:
        """Also true for a token that was made from the token of an application credential."""
        return bool(self.application_credential) or "application_credential" in self.methods

    @property
    def restricted(self) -> bool | None:
        """Whether the application credential is restricted; null where there is none, or an old Keystone does not say."""
        return self.application_credential.get("restricted")

    def regions(self) -> list[str]:
        """Every region of the catalogue."""
        found = {endpoint.get("region_id") or endpoint.get("region") for service in self.catalog for endpoint in service.get("endpoints", [])}
        return sorted(name for name in found if name)

    def s3_endpoints(self, interface: str) -> list[str]:
        """Where the S3 interface may be, as the catalogue says, the likeliest first. Swift's address without path is where Ceph and Swift answer to S3."""
        found = []
        for kind in STORE_TYPES:
            for service in self.catalog:
                for endpoint in service.get("endpoints", []) if service.get("type") == kind else []:
                    where = endpoint.get("region_id") or endpoint.get("region")
                    url = urllib.parse.urlsplit(endpoint.get("url", ""))
                    if endpoint.get("interface") == interface and self.region in ("", where) and url.netloc:
                        path = url.path.rstrip("/") if kind == "s3" else ""
                        found.append(f"{url.scheme}://{url.netloc}{path}")
        return list(dict.fromkeys(found))

    def facts(self, application_credential_expires_at: str | None, expiry_known: bool) -> Json:
        """How the login was made, for people and for a watch on its end."""
        return {
            "user_id": self.user_id,
            "user_name": self.user_name,
            "project_id": self.project_id,
            "project_name": self.project_name,
            "methods": self.methods,
            "token_expires_at": self.expires_at,
            "is_application_credential": self.is_application_credential,
            "application_credential_id": self.application_credential.get("id", ""),
            "application_credential_name": self.application_credential.get("name", ""),
            "application_credential_restricted": self.restricted,
            "application_credential_expires_at": application_credential_expires_at,
            "application_credential_expiry_known": expiry_known,
        }
