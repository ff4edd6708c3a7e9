# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a server is there already. It is found by its marks; what only has the same name is another's, and is never taken over."""

from __future__ import annotations

import dataclasses
import fnmatch
import re

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Cloud, Json
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_spare import without_spare
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import ROLE, Wanted, is_marked

GONE = ("DELETED", "SOFT_DELETED")
MOVING = ("BUILD", "REBUILD", "REBOOT", "HARD_REBOOT", "RESIZE", "REVERT_RESIZE", "MIGRATING", "PASSWORD")
VOLUME_MOVING = ("creating", "downloading", "deleting", "attaching", "detaching", "uploading", "reserved", "extending", "retyping", "maintenance", "backing-up")
HINT_NETWORK = "Name it; or let the role make one with openstack_server_network_create."


@dataclasses.dataclass
class Found:
    """What is there. `conflicts` are (reason, detail, values), for a message each; `spare` are (kind, thing) that was made twice."""

    keypairs: list[Json] = dataclasses.field(default_factory=list)
    group: Json | None = None
    extra_groups: list[str] = dataclasses.field(default_factory=list)
    network: Json | None = None
    subnet: Json | None = None
    router: Json | None = None
    external: Json | None = None
    port: Json | None = None
    address: Json | None = None
    volume: Json | None = None
    boot: Json | None = None
    server: Json | None = None
    image: Json | None = None
    flavor: Json | None = None
    conflicts: list[tuple[str, str, dict[str, str]]] = dataclasses.field(default_factory=list)
    spare: list[tuple[str, Json]] = dataclasses.field(default_factory=list)

    def moving(self) -> list[str]:
        """What is on its way from one state to another."""
        found = [f"server: {self.server['status']}"] if self.server and (self.server["status"] in MOVING or self.server.get("OS-EXT-STS:task_state")) else []
        return found + [f"volume {item['name']}: {item['status']}" for item in (self.volume, self.boot) if item and item["status"] in VOLUME_MOVING]

    def conflict(self, reason: str, detail: str, **values: str) -> None:
        """Something that stands in the way."""
        self.conflicts.append((reason, detail, values))

    def pick(self, kind: str, items: list[Json], name: str, marks: dict[str, str]) -> Json | None:
        """Ours of a list; a name is given where others of that name stand in the way."""
        ours = [item for item in items if is_marked(item, marks)]
        if len(ours) > 1:
            ours, spare = without_spare(kind, ours, (self.port or {}).get("security_groups", ()))
            self.spare += [(kind, item) for item in spare]
        if len(ours) > 1:
            raise ServerError("several", f"{len(ours)} {kind}s ({', '.join(item['id'] for item in ours)})")
        if name and not ours and any(item.get("name") == name for item in items):
            self.conflict("foreign", f"{kind} '{name}'")
        return ours[0] if ours else None


class Finder:
    """Looks for the parts of a server."""

    def __init__(self, cloud: Cloud, wanted: Wanted) -> None:
        self.cloud, self.wanted, self.project = cloud, wanted, cloud.access.project_id

    def neutron(self, kind: str, query: str = "", own: bool = True) -> list[Json]:
        """A list of the project's."""
        items = self.cloud.pages("network", f"/{kind}?{query}" if query else f"/{kind}", kind.replace("-", "_"))
        return [item for item in items if not own or item.get("project_id", item.get("tenant_id")) == self.project]

    def servers(self) -> list[Json]:
        """The project's servers."""
        items = self.cloud.pages("compute", "/servers/detail", "servers")
        return [item for item in items if item["status"] not in GONE and item.get("tenant_id", self.project) == self.project]

    def server(self) -> Json | None:
        """Ours."""
        return Found().pick("server", self.servers(), "", self.wanted.marks)

    def volumes(self, role: str) -> list[Json]:
        """The project's volumes, without ours of another role."""
        items = self.cloud.pages("block_storage", "/volumes/detail", "volumes")
        return [item for item in items if (item.get("metadata") or {}).get(ROLE, role) == role]

    def volume(self, role: str) -> Json | None:
        """Ours of that role."""
        return Found().pick("volume", self.volumes(role), "", self.wanted.marks)

    def keypairs(self) -> list[Json]:
        """Ours: whose name holds the hash of what they are."""
        body = self.cloud.get("compute", "/os-keypairs") or {}
        items = [item["keypair"] for item in body.get("keypairs", [])]
        return [item for item in items if item["name"] == self.wanted.keypair_name(self.project, item["public_key"])]

    def one(self, kind: str, marks: dict[str, str]) -> Json | None:
        """Ours of a kind of Neutron."""
        return Found().pick(kind, self.neutron(kind), "", marks)

    def site_network(self, found: Found) -> None:
        """What the hosts of the site share, where the role makes it."""
        for kind, name in self.wanted.names():
            setattr(found, kind, found.pick(kind, self.neutron(f"{kind}s"), name, self.wanted.site_marks))

    def _existing_network(self, found: Found, networks: list[Json]) -> None:
        pattern = self.wanted.network
        items = [item for item in networks if fnmatch.fnmatchcase(item["name"], pattern) or item["id"] == pattern]
        if re.search(r"[*?\[]", pattern):
            items = [item for item in items if not item.get("router:external")]
            items = [item for item in items if item.get("project_id", item.get("tenant_id")) == self.project] or items
        if len(items) == 1 and items[0].get("subnets"):
            found.network = items[0]
            return
        there = ", ".join(sorted(item["name"] for item in networks)) or "none"
        if len(items) > 1:
            problem = f"{len(items)} networks match: {', '.join(sorted(item['name'] for item in items))}"
        else:
            problem = f"network '{items[0]['name']}' has no subnet" if items else f"no network matches, the cloud shows {there}"
        found.conflict("network", problem, hint=HINT_NETWORK)

    def networks(self, found: Found) -> None:
        """Networks, as far as something is still to be made in them: a network that comes later shall not stop a site that runs."""
        create = self.wanted.network_create
        if create:
            self.site_network(found)
        needs_external = (self.wanted.floating_ip and not found.address) or (create and not (found.router or {}).get("external_gateway_info"))
        needs_network = not create and not found.port
        networks = self.neutron("networks", own=False) if needs_external or needs_network else []
        if needs_network:
            self._existing_network(found, networks)
        if needs_external:
            pattern = self.wanted.external_network
            items = [item for item in networks if item.get("router:external") and (fnmatch.fnmatchcase(item["name"], pattern) or item["id"] == pattern)]
            if len(items) == 1:
                found.external = items[0]
            else:
                there = ", ".join(sorted(item["name"] for item in networks if item.get("router:external"))) or "none"
                found.conflict("external_network", f"{len(items)} external networks match, the cloud has {there}")

    def address(self, found: Found) -> None:
        """The floating IP."""
        items = self.neutron("floatingips")
        found.address = found.pick("floating IP", items, "", self.wanted.marks)
        wanted = self.wanted.floating_ip_address
        if wanted and self.wanted.floating_ip:
            given = [item for item in items if item["floating_ip_address"] == wanted]
            found.address = given[0] if given else None
            if not given:
                found.conflict("address_foreign", "the project has no such floating IP")
        if found.address and found.address.get("port_id") and found.address["port_id"] != (found.port or {}).get("id"):
            found.conflict("address_foreign", f"{found.address['floating_ip_address']} serves another port ({found.address['port_id']})")
            found.address = None

    def groups(self, found: Found) -> None:
        """Security groups."""
        items = self.neutron("security-groups")
        found.group = found.pick("security group", items, self.wanted.name, self.wanted.marks)
        for name in self.wanted.extra_groups:
            ids = [item["id"] for item in items if name in (item["name"], item["id"])]
            if len(ids) == 1:
                found.extra_groups.append(ids[0])
            else:
                found.conflict("extra_group", f"{len(ids)} security groups are called '{name}'")

    def look(self) -> Found:
        """Everything.

        Raises:
            ServerError: several are marked as ours.
        """
        found, wanted = Found(), self.wanted
        found.keypairs = self.keypairs()
        found.server = found.pick("server", self.servers(), wanted.name, wanted.marks)
        found.volume = found.pick("volume", self.volumes("data"), f"{wanted.name}-data", wanted.marks)
        found.boot = found.pick("volume", self.volumes("boot"), f"{wanted.name}-boot", wanted.marks)
        found.port = found.pick("port", self.neutron("ports"), wanted.name, wanted.marks)
        self.groups(found)
        self.address(found)
        self.networks(found)
        return found
