# SPDX-License-Identifier: GPL-3.0-or-later
"""Nova, Neutron, Cinder and Glance in memory: what they accept, refuse and take their time for, as far as a server needs them."""

from __future__ import annotations

import copy
import itertools
import urllib.parse

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Access, Cloud
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import NoAnswerError, Reply

PROJECT, OTHER = "project-1", "project-2"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHostKeyOfTheMachine"
QUOTA = {"security_group": 10, "security_group_rule": 100, "port": 10, "floatingip": 2, "network": 5, "subnet": 5, "router": 1}


class KilledError(Exception):
    """The run was interrupted."""


class FakeOpenStack:
    """`calls` are the changes that were asked for. `script` maps the number of a change to what happens instead:
    a status, `lost` (carried out, the answer is lost), `late` (the same, but carried out only after the next change) or `kill` (carried out, and the run ends
    there)."""

    def __init__(self):
        self.seconds, self.calls, self.script, self.delayed = 0.0, [], {}, []
        self.numbers = itertools.count(1)
        self.things = {kind: {} for kind in ("servers", "volumes", "os-keypairs", "networks", "subnets", "routers", "ports", "security-groups", "floatingips")}
        self.images = [{"id": "img", "name": "Debian-13", "status": "active", "created_at": "2026-01-01", "min_disk": 2, "min_ram": 0}]
        self.flavors = [{"id": "f1", "name": "p1-1.5gb", "vcpus": 1, "ram": 1536, "disk": 20}, {"id": "f0", "name": "cb1", "vcpus": 1, "ram": 1536, "disk": 0}]
        self.console, self.build, self.broken = f"-----BEGIN SSH HOST KEY KEYS-----\n{KEY} root@x\n-----END SSH HOST KEY KEYS-----", 2, ""
        self.limits = {"maxTotalInstances": 2, "maxTotalCores": 8, "maxTotalRAMSize": 8192, "maxTotalVolumes": 4, "maxTotalVolumeGigabytes": 100}
        self.quota = dict(QUOTA)
        self.add("networks", "Public-Network", project_id="admin", **{"router:external": True}, subnets=["s"])
        self.add("networks", "def-lab-network", subnets=["s1"])

    # for tests
    def cloud(self, seconds=600.0, roles=("member",)):
        access = Access(PROJECT, "lab", roles, ("application_credential",), "", "https://id.test/v3", "RegionOne")
        return Cloud(self, access, Patience(seconds, lambda: self.seconds, self.sleep))

    def sleep(self, seconds):
        self.seconds += seconds

    def add(self, kind, name, **values):
        thing = {"id": f"{kind[:-1]}-{next(self.numbers)}", "name": name, "project_id": PROJECT, "tenant_id": values.get("project_id", PROJECT), **values}
        self.things[kind][thing["id"]] = thing
        return thing

    def all(self, kind, own=True):
        return [thing for thing in self.things[kind].values() if not own or thing["project_id"] == PROJECT]

    def one(self, kind):
        (thing,) = self.all(kind)
        return thing

    def snapshot(self):
        return copy.deepcopy(self.things)

    # the API
    def __call__(self, service, method, path, body):
        if method == "GET" or "os-getConsoleOutput" in (body or {}):
            return self.handle(service, method, path, body)
        self.calls.append(f"{method} {path}")
        told = self.script.pop(len(self.calls), None)
        if isinstance(told, int):
            return Reply(told, {"error": {"message": f"told to say {told}"}})
        if told == "late":
            self.delayed.append((service, method, path, copy.deepcopy(body)))
            raise NoAnswerError("Request timed out")
        reply = self.handle(service, method, path, body)
        while self.delayed:
            self.handle(*self.delayed.pop())
        if told == "lost":
            raise NoAnswerError("Connection aborted")
        if told == "kill":
            raise KilledError
        return reply

    def handle(self, service, method, path, body):
        url = urllib.parse.urlsplit(path)
        kind, *rest = url.path.strip("/").split("/")
        special = getattr(self, f"{method.lower()}_{kind.replace('-', '_')}", None) or getattr(self, f"any_{kind.replace('-', '_')}", None)
        reply = special(rest, body, method) if special else None
        return reply or self.plain(method, kind, rest, dict(urllib.parse.parse_qsl(url.query)), body)

    def plain(self, method, kind, rest, query, body):
        things, single = self.things[kind], kind.replace("-", "_").removeprefix("os_").removesuffix("s")
        if method == "POST" and not rest:
            (values,) = body.values()
            thing = self.add(kind, **{"name": "", **copy.deepcopy(values)})
            return self.made(kind, single, thing)
        if not rest or rest == ["detail"]:
            found = [copy.deepcopy(thing) for thing in things.values() if all(str(thing.get(key)) == value for key, value in query.items())]
            return Reply(200, {kind.replace("-", "_"): found})
        thing = things.get(rest[0])
        if thing is None:
            return Reply(404, {"itemNotFound": {"message": f"{rest[0]} not found"}})
        if method == "DELETE":
            return self.remove(kind, thing)
        if rest[1:] == ["tags"]:
            thing["tags"] = body["tags"]
            return Reply(200, body)
        if method == "PUT":
            thing.update(body[single])
        return Reply(200, {single: copy.deepcopy(thing)})

    def made(self, kind, single, thing):
        if kind == "security-groups":
            out = [{"id": f"{version}-{thing['id']}", "direction": "egress", "ethertype": version} for version in ("IPv4", "IPv6")]
            thing["security_group_rules"] = out
        if kind == "subnets":
            self.things["networks"][thing["network_id"]].setdefault("subnets", []).append(thing["id"])
        if kind == "ports":
            thing["fixed_ips"] = [{"subnet_id": "s1", "ip_address": "10.0.0.5"}]
        if kind == "floatingips":
            if any(other.get("port_id") == thing.get("port_id") for other in self.all(kind) if thing.get("port_id") and other is not thing):
                del self.things[kind][thing["id"]]
                return Reply(409, {"NeutronError": {"message": "Cannot associate floating IP, as that fixed IP already has a floating IP."}})
            if len(self.all("floatingips")) > self.quota["floatingip"]:
                del self.things[kind][thing["id"]]
                return Reply(409, {"NeutronError": {"message": "Quota exceeded for resources: ['floatingip'].", "type": "OverQuota"}})
            thing["floating_ip_address"] = f"172.30.98.{100 + len(self.all('floatingips'))}"
        if kind == "volumes":
            thing.update(status=self.broken or "creating", looks=0 if self.broken else self.build, attachments=[])
        if kind == "servers":
            if self.things["ports"][thing["networks"][0]["port"]].get("device_id"):
                del self.things[kind][thing["id"]]
                return Reply(409, {"conflictingRequest": {"message": "Port is still in use."}})
            thing.update(status="BUILD", looks=self.build, flavor={"id": thing["flavorRef"]})
            self.things["ports"][thing["networks"][0]["port"]]["device_id"] = thing["id"]
            for boot in thing.get("block_device_mapping_v2", []):
                self.things["volumes"][boot["uuid"]].update(status="in-use", attachments=[{"server_id": thing["id"]}])
        return Reply(201, {single: copy.deepcopy(thing)})

    def remove(self, kind, thing):
        users = {"security-groups": [port for port in self.all("ports") if thing["id"] in port["security_groups"]]}
        if users.get(kind):
            return Reply(409, {"NeutronError": {"message": "in use"}})
        if kind == "volumes" and thing["status"] not in ("available", "error"):
            return Reply(400, {"badRequest": {"message": f"volume is {thing['status']}"}})
        if kind == "ports":
            for address in self.all("floatingips"):
                address["port_id"] = None if address.get("port_id") == thing["id"] else address.get("port_id")
        if kind == "servers":
            for port in self.all("ports"):
                port["device_id"] = "" if port.get("device_id") == thing["id"] else port.get("device_id")
            for volume in self.all("volumes"):
                if any(item["server_id"] == thing["id"] for item in volume["attachments"]):
                    volume.update(status="available", attachments=[])
        del self.things[kind][thing["id"]]
        return Reply(204, {})

    def tick(self, kind, done):
        for thing in self.things[kind].values():
            if thing.get("looks"):
                thing["looks"] -= 1
                if not thing["looks"]:
                    thing["status"] = self.broken if self.broken and kind == "servers" else done
                    thing["OS-SRV-USG:launched_at"] = None if thing["status"] == "ERROR" else "2026"

    def get_servers(self, rest, body, method):
        self.tick("servers", "ACTIVE")
        if rest[1:] == ["os-volume_attachments"]:
            found = [volume["id"] for volume in self.all("volumes") if any(item["server_id"] == rest[0] for item in volume["attachments"])]
            return Reply(200, {"volumeAttachments": [{"volumeId": volume} for volume in found]})
        return None

    def get_volumes(self, rest, body, method):
        self.tick("volumes", "available")

    def post_volumes(self, rest, body, method):
        if rest[1:] == ["metadata"]:
            self.things["volumes"][rest[0]]["metadata"].update(body["metadata"])
            return Reply(200, body)
        return None

    def post_servers(self, rest, body, method):
        if rest[1:] == ["action"]:
            thing = self.things["servers"][rest[0]]
            if "os-getConsoleOutput" in body:
                return Reply(200, {"output": self.console})
            thing["status"] = "SHUTOFF" if "os-stop" in body else "ACTIVE"
            return Reply(202, {})
        if rest[1:] == ["os-volume_attachments"]:
            volume = self.things["volumes"][body["volumeAttachment"]["volumeId"]]
            if volume["status"] != "available":
                return Reply(400, {"badRequest": {"message": f"volume is {volume['status']}"}})
            volume.update(status="in-use", attachments=[{"server_id": rest[0]}])
            return Reply(200, {"volumeAttachment": {"volumeId": volume["id"]}})
        return None

    def delete_servers(self, rest, body, method):
        if rest[1:2] == ["os-volume_attachments"]:
            self.things["volumes"][rest[2]].update(status="available", attachments=[])
            return Reply(202, {})
        return None

    def any_os_keypairs(self, rest, body, method):
        pairs = self.things["os-keypairs"]
        if method == "GET":
            return Reply(200, {"keypairs": [{"keypair": pair} for pair in pairs.values()]})
        if method == "DELETE":
            return Reply(202 if pairs.pop(rest[0], None) else 404, {})
        pair = body["keypair"]
        if pair["name"] in pairs:
            return Reply(409, {"conflictingRequest": {"message": f"Key pair '{pair['name']}' already exists."}})
        pairs[pair["name"]] = {**pair, "project_id": PROJECT}
        return Reply(200, body)

    def any_security_group_rules(self, rest, body, method):
        if method == "DELETE":
            for group in self.all("security-groups"):
                group["security_group_rules"] = [rule for rule in group["security_group_rules"] if rule["id"] != rest[0]]
            return Reply(204, {})
        rule = body["security_group_rule"]
        group = self.things["security-groups"][rule["security_group_id"]]
        same = [there for there in group["security_group_rules"] if all(there.get(key) == value for key, value in rule.items())]
        if same:
            return Reply(409, {"NeutronError": {"message": "Security group rule already exists."}})
        group["security_group_rules"].append({"id": f"rule-{next(self.numbers)}", **rule})
        return Reply(201, body)

    def put_routers(self, rest, body, method):
        if rest[1:] == ["add_router_interface"]:
            if any(port.get("device_id") == rest[0] for port in self.all("ports")):
                return Reply(400, {"NeutronError": {"message": "Router already has a port on subnet"}})
            self.add("ports", "", device_id=rest[0], device_owner="network:router_interface", network_id="", security_groups=[])
            self.all("ports")[-1]["fixed_ips"] = [{"subnet_id": body["subnet_id"], "ip_address": "10.76.0.1"}]
            return Reply(200, {})
        if rest[1:] == ["remove_router_interface"]:
            self.things["ports"] = {key: port for key, port in self.things["ports"].items() if port.get("device_id") != rest[0]}
            return Reply(200, {})
        return None

    def get_flavors(self, rest, body, method):
        return Reply(200, {"flavors": self.flavors})

    def get_images(self, rest, body, method):
        return Reply(200, {"images": self.images})

    def get_types(self, rest, body, method):
        return Reply(200, {"volume_types": [{"name": "rbd1"}]})

    def get_limits(self, rest, body, method):
        used = {"totalInstancesUsed": len(self.all("servers")), "totalCoresUsed": 0, "totalRAMUsed": 0, "totalVolumesUsed": len(self.all("volumes"))}
        return Reply(200, {"limits": {"absolute": {**self.limits, **used, "totalGigabytesUsed": 0}}})

    def get_quotas(self, rest, body, method):
        kinds = {"security_group": "security-groups", "floatingip": "floatingips"}
        used = {kind: len(self.all(kinds.get(kind, f"{kind}s"))) if kind != "security_group_rule" else 0 for kind in self.quota}
        return Reply(200, {"quota": {kind: {"limit": most, "used": used[kind], "reserved": 0} for kind, most in self.quota.items()}})

    def get_os_availability_zone(self, rest, body, method):
        return Reply(200, {"availabilityZoneInfo": [{"zoneName": "nova", "zoneState": {"available": True}}]})
