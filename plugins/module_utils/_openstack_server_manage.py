# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server in an OpenStack cloud from what is there to what is wanted: one plan for check mode and the real run."""

from __future__ import annotations

import dataclasses
import ipaddress

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Cloud, Json, RefusedError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_absent import absent_steps, kept, machine_steps, spare_steps
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_choice import check_volume_types, check_zones, choose, choose_flavor
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_found import Finder, Found
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_limits import check_limits
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_machine import clear_steps, keypair_steps, server_steps
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import MESSAGES, ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_network import network_steps
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_ssh import HostKeys, Scanner, known_hosts, recorded_keys, scan
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_steps import Step, Work, lock
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_volumes import attach_steps, leftover_steps, volume_steps
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import Wanted

READ_ONLY = {"reader", "load-balancer_observer"}


def begin(cloud: Cloud, wanted: Wanted, check_mode: bool) -> Work:
    """Look, and wait for what an interrupted run has set in motion."""
    finder = Finder(cloud, wanted)
    if check_mode:
        return Work(cloud, wanted, finder.look())
    found = cloud.wait("something of an earlier run", finder.look, lambda found: not found.moving())
    return Work(cloud, wanted, found)


def plan(work: Work) -> list[Step]:
    """From what is there to a server that runs.

    Raises:
        ServerError: something stands in the way.
    """
    steps = list(clear_steps(work))
    now = dataclasses.replace(work, found=dataclasses.replace(work.found, server=None) if steps else work.found)
    steps += spare_steps(now)
    steps += [*keypair_steps(now), *network_steps(now)]
    if now.wanted.volume_gb:
        steps += volume_steps(now, "volume")
    if now.wanted.boot_volume_gb and not now.found.server:
        steps += volume_steps(now, "boot")
    else:
        steps += leftover_steps(now)
    steps += server_steps(now)
    if now.wanted.volume_gb:
        steps += attach_steps(now)
    return steps


def rebuild_plan(work: Work) -> list[Step]:
    """Another server with the same volume, port and address."""
    steps = list(machine_steps(work, "to be made anew"))
    volume = dict(work.found.volume, attachments=[], status="available") if work.found.volume else None
    return steps + plan(dataclasses.replace(work, found=dataclasses.replace(work.found, server=None, boot=None, volume=volume)))


def carry_out(work: Work, steps: list[Step], check_mode: bool, done: list[str]) -> None:
    """Take the steps; `done` grows as they are taken, so that a failure can say how far it came."""
    for step in steps:
        if check_mode or step.act(work) is not False:
            done.append(str(step))


def is_alive(found: Found) -> bool:
    """Whether there is a server that is not to be replaced."""
    return bool(found.server) and found.server["status"] != "ERROR"


def stop_at_conflict(found: Found) -> None:
    """The first thing that stands in the way."""
    for reason, detail, values in found.conflicts:
        raise ServerError(reason, detail, **values)


def fixed_address(port: Json | None) -> str:
    """The port's address, IPv4 where it has one."""
    addresses = [ipaddress.ip_address(item["ip_address"]) for item in (port or {}).get("fixed_ips", [])]
    return str(min(addresses, key=lambda address: address.version)) if addresses else ""


def state_of(work: Work) -> Json:
    """What is there, for the recorded state."""
    found = work.found
    own = fixed_address(found.port)
    floating = found.address["floating_ip_address"] if found.address else work.wanted.floating_ip_address
    return {
        "server_id": (found.server or {}).get("id", ""),
        "public_address": floating if work.wanted.floating_ip else own,
        "private_address": own,
        "data_volume_id": found.volume["id"] if found.volume and work.wanted.volume_gb else "",
    }


def differences(work: Work) -> list[str]:
    """What only another server, or a person, can change."""
    found, wanted = work.found, work.wanted
    result = []
    if found.server and found.server.get("key_name") not in (None, wanted.keypair_name(work.cloud.access.project_id)):
        result.append("the server was made with another public key; a new one goes into host_base_users, or comes with a rebuild")
    flavor = (found.server or {}).get("flavor", {})
    if found.flavor and flavor.get("id") not in (None, found.flavor["id"]):
        result.append(f"the server has another flavor than {wanted.flavor}; a rebuild takes the wanted one")
    if found.volume and wanted.volume_gb and found.volume["size"] != wanted.volume_gb:
        result.append(f"the data volume has {found.volume['size']} GB, not {wanted.volume_gb}; it is left as it is")
    return result


def present(cloud: Cloud, wanted: Wanted, params: Json, check_mode: bool, done: list[str], scanner: Scanner = scan) -> Json:
    """Make what is missing, or all of the machine anew."""
    rebuild = params["state"] == "rebuilt"
    work = begin(cloud, wanted, check_mode)
    if is_alive(work.found) and not rebuild:
        stop_at_conflict(work.found)
        choose_flavor(cloud, wanted, work.found)  # to see whether it is the one; none is needed
    else:
        choose(cloud, wanted, work.found)
        stop_at_conflict(work.found)
    before = (work.found.server or {}).get("id")
    different = [] if rebuild else differences(work)
    carry_out(work, rebuild_plan(work) if rebuild else plan(work), check_mode, done)
    state = state_of(work)
    source, recorded = "record", recorded_keys(params["known_hosts_file"])
    keys = recorded
    if work.found.server and not check_mode:
        search = HostKeys(work, state["public_address"], recorded, scanner)
        keys, source = search.find(params["console_wait_seconds"], params["host_key_scan_enabled"], fresh=before != state["server_id"])
    if cloud.unsure and not check_mode:
        carry_out(work, list(spare_steps(dataclasses.replace(work, found=work.finder.look()))), check_mode, done)
    hosts = known_hosts(state["public_address"], keys)
    return {**state, "exists": bool(before) or not check_mode, "known_hosts": hosts, "host_key_source": source, "warnings": different, "kept": []}


def absent(cloud: Cloud, wanted: Wanted, params: Json, check_mode: bool, done: list[str]) -> Json:
    """Remove what belongs to this host."""
    work = begin(cloud, wanted, check_mode)
    if not wanted.network_create:
        work.found.network = None
        work.finder.site_network(work.found)
    stays = kept(work, params["delete_data"])
    carry_out(work, list(absent_steps(work, params["delete_data"])), check_mode, done)
    return {**state_of(work), "exists": False, "known_hosts": "", "host_key_source": "", "warnings": [], "kept": stays}


def examine(cloud: Cloud, wanted: Wanted) -> Json:
    """All that can be asked before anything is made."""
    work = begin(cloud, wanted, check_mode=True)
    found = work.found
    alive = is_alive(found)
    if set(cloud.access.roles) and set(cloud.access.roles) <= READ_ONLY:
        found.conflict("forbidden", f"its roles are {', '.join(cloud.access.roles)}, which may only read")
    if not alive:
        choose(cloud, wanted, found)
        check_zones(cloud, wanted, found)
        check_volume_types(cloud, wanted, found)
    table = check_limits(cloud, wanted, found)
    steps: list[str] = []
    if not found.conflicts:
        try:
            steps = [str(step) for step in plan(work)]
        except ServerError as error:
            found.conflict(error.reason, error.detail, **error.values)
    return {**state_of(work), "exists": alive, "status": (found.server or {}).get("status", ""), "plan": steps, "quota": table, "conflicts": found.conflicts}


def failure(error: ServerError | RefusedError | CloudError) -> tuple[str, str, dict[str, str]]:
    """(reason, detail, values) of an exception."""
    if isinstance(error, RefusedError):
        return "refused", f"{error.what}: {error.text}", {}
    return (error.reason, error.detail, error.values) if error.reason in MESSAGES else ("config", error.detail, {})


def manage(cloud: Cloud, wanted: Wanted, params: Json, check_mode: bool, done: list[str]) -> Json:
    """What the module does."""
    action = absent if params["state"] == "absent" else present
    if check_mode:
        return action(cloud, wanted, params, True, done)
    with lock(cloud, wanted.site, wanted.host):
        return action(cloud, wanted, params, False, done)
