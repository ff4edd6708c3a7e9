# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server in an OpenStack cloud shall be, and by which marks its parts are found again.

Servers and volumes carry the marks as metadata. What belongs to the network has no metadata: there they stand in the description, which is set in the
request that makes the thing, and as tags, which can be set only afterwards. A key pair carries nothing: its name holds a hash of what it belongs to.
"""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import re
import typing as t
from pathlib import Path

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Json
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError

SITE, HOST, ROLE, USED = "labtrack_site", "labtrack_host", "labtrack_role", "labtrack_used"
PUBLIC_KEY = re.compile(r"(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com) AAAA[0-9A-Za-z+/]+=*( .*)?")
ANYWHERE = ("0.0.0.0/0", "::/0")


def is_marked(item: Json, marks: dict[str, str]) -> bool:
    """Whether it carries these marks, and no other host's."""
    tags = item.get("tags") or []
    found = [
        {name: str(value) for name, value in (item.get("metadata") or {}).items() if name in (SITE, HOST)},
        dict(tag.split("=", 1) for tag in tags if tag.startswith((f"{SITE}=", f"{HOST}="))),
        dict(word.split("=", 1) for word in str(item.get("description") or "").split() if word.startswith((f"{SITE}=", f"{HOST}="))),
    ]
    return marks in found


def as_tags(marks: dict[str, str]) -> list[str]:
    """Marks for what has no metadata."""
    return [f"{name}={value}" for name, value in marks.items()]


def read_public_key(path: str) -> str:
    """The one key of a file.

    Raises:
        ServerError: it holds something else.
    """
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServerError("public_key", f"it cannot be read ({getattr(error, 'strerror', '') or 'it is no text'})") from error
    if "PRIVATE KEY" in text:
        raise ServerError("public_key", "it holds a private key, which never leaves your machine")
    if not PUBLIC_KEY.fullmatch(text):
        raise ServerError("public_key", "it does not hold exactly one OpenSSH public key")
    return text


@dataclasses.dataclass(frozen=True)
class Rule:
    """TCP that may come in."""

    port: int
    cidr: str

    @property
    def ethertype(self) -> str:
        """What Neutron calls the version of IP."""
        return f"IPv{ipaddress.ip_network(self.cidr).version}"

    def __str__(self) -> str:
        return f"tcp {self.port} from {self.cidr}"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A server with all that belongs to it."""

    name: str
    site: str
    host: str
    public_key: str
    image: str
    flavor: str
    network: str
    external_network: str
    rules: tuple[Rule, ...] = ()
    extra_groups: tuple[str, ...] = ()
    availability_zone: str = ""
    config_drive: bool = True
    user_data: str = ""
    boot_volume_gb: int = 0
    boot_volume_type: str = ""
    network_create: bool = False
    network_cidr: str = "10.76.0.0/24"
    dns_servers: tuple[str, ...] = ()
    floating_ip: bool = True
    floating_ip_address: str = ""
    volume_gb: int = 0
    volume_type: str = ""
    volume_availability_zone: str = ""

    @classmethod
    def from_params(cls, params: Json) -> Wanted:
        """From a module's options.

        Raises:
            ServerError: the file of the public key is of no use.
        """
        same = {field.name: params[field.name] for field in dataclasses.fields(cls) if field.name in params and params[field.name] is not None}
        rules = {Rule(int(rule["port"]), str(ipaddress.ip_network(cidr, strict=False))) for rule in params["rules"] for cidr in rule["cidrs"]}
        same |= {
            "rules": tuple(sorted(rules, key=lambda rule: (rule.port, rule.cidr))),
            # a removal knows the key pairs by their names
            "public_key": "" if params.get("state") == "absent" else read_public_key(params["public_key_file"]),
            "floating_ip": params["floating_ip_enabled"],
            "config_drive": params["config_drive_enabled"],
            "extra_groups": tuple(params["extra_security_groups"]),
            "dns_servers": tuple(params["dns_servers"]),
        }
        return cls(**same)

    @property
    def marks(self) -> dict[str, str]:
        """Of what belongs to this host."""
        return {SITE: self.site, HOST: self.host}

    @property
    def site_marks(self) -> dict[str, str]:
        """Of what the hosts of a site share."""
        return {SITE: self.site}

    @staticmethod
    def description(marks: dict[str, str]) -> str:
        """Marks as text."""
        return " ".join(as_tags(marks))

    def keypair_name(self, project_id: str, public_key: str = "") -> str:
        """Name that only a key pair of this host has. Key pairs belong to a user, and one user may have several projects."""
        kind_and_key = " ".join((public_key or self.public_key).split()[:2])
        text = "\n".join([project_id, self.site, self.host, kind_and_key])
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"

    def names(self) -> t.Iterator[tuple[str, str]]:
        """(kind, name) of what the hosts of a site share."""
        yield from (("network", f"{self.site}-network"), ("subnet", f"{self.site}-subnet"), ("router", f"{self.site}-router"))
