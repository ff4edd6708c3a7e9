# SPDX-License-Identifier: GPL-3.0-or-later
"""Nova driver whose servers are containers with systemd. Nova loads drivers from nova.virt only, so this file is put there.

What is above the hypervisor is OpenStack's own: scheduler, placement, ports, security groups, floating IPs, metadata, quotas.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from typing import Any

from eventlet.timeout import Timeout
from labtrack_cloud import cables, disks, engine
from nova import exception
from nova.api.metadata import base as instance_metadata
from nova.compute import power_state
from nova.objects import fields
from nova.virt import configdrive, driver, fake, hardware

LABEL = "labtrack.server"
STOP_SECONDS = 10
PLUG_SECONDS = 60
SEED = "var/lib/cloud/seed/config_drive/"


def container_name(instance: Any) -> str:
    """Name of the server's container."""
    return f"labtrack-server-{instance.uuid}"


def volumes(block_device_info: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Volumes of a server: each with `connection_info` and `mount_device`."""
    return driver.block_device_info_get_mapping(block_device_info or {})


class ContainerDriver(fake.FakeDriver):
    """Servers as containers; the fake driver's inventory of the machine."""

    capabilities = {**fake.FakeDriver.capabilities, "supports_attach_interface": False, "supports_tagged_attach_interface": False}
    vcpus, memory_mb, local_gb = 64, 65536, 2000

    def __init__(self, virtapi: Any, read_only: bool = False) -> None:
        super().__init__(virtapi, read_only)
        self.host_status_base.update(
            hypervisor_type="docker",
            supported_instances=[(fields.Architecture.X86_64, kind, mode) for kind, mode in ((fields.HVType.DOCKER, fields.VMMode.EXE),)],
        )

    @staticmethod
    def _seed(instance: Any, network_info: Any, files: Any, password: str | None) -> bytes:
        """A tar archive with the config drive that Nova would make, where cloud-init looks for one."""
        extra = {"admin_pass": password} if password else {}
        metadata = instance_metadata.InstanceMetadata(instance, content=files, extra_md=extra, network_info=network_info)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar, configdrive.ConfigDriveBuilder(instance_md=metadata) as builder:
            for path, content in builder.mdfiles:
                data = content.encode() if isinstance(content, str) else content
                info = tarfile.TarInfo(SEED + path)
                info.size, info.mtime, info.mode = len(data), int(time.time()), 0o600
                tar.addfile(info, io.BytesIO(data))
        return buffer.getvalue()

    def _create(self, instance: Any, network_info: Any) -> None:
        servers = [dns["address"] for card in network_info or [] for subnet in card["network"]["subnets"] for dns in subnet.get("dns") or []]
        image = instance.system_metadata.get("image_docker_image")
        if not image:
            raise exception.NovaException("the image has no property docker_image: the test cloud starts containers only.")
        host = {
            "NetworkMode": "none",
            "CgroupnsMode": "host",
            "CapAdd": ["SYS_ADMIN", "NET_ADMIN"],
            "SecurityOpt": ["apparmor=unconfined"],
            "Binds": ["/sys/fs/cgroup:/sys/fs/cgroup:rw"],
            "Tmpfs": {"/run": "", "/run/lock": "", "/tmp": "exec"},
            "DeviceCgroupRules": ["b 7:* rmw"],
            "Memory": instance.flavor.memory_mb << 20,
            "Dns": servers,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        }
        labels = {"labtrack": "cloud", LABEL: instance.uuid, "labtrack.server.name": instance.display_name}
        container = {
            "Image": image,
            "Hostname": instance.hostname,
            "Cmd": ["/usr/local/sbin/power-on"],
            # where cloud-init looks, in a container, for the name that a virtual machine's firmware has
            "Env": ["container=docker", "product_name=OpenStack Nova"],
            "Tty": True,
            "Labels": labels,
            "HostConfig": host,
        }
        engine.call("POST", "/containers/create", container, name=container_name(instance))

    def _start(self, instance: Any, network_info: Any, block_device_info: Any) -> None:
        """Switch on: systemd starts when cards and volumes are there."""
        name = container_name(instance)
        engine.call("POST", f"/containers/{name}/start")
        cables.plug(name, network_info or [])
        for volume in volumes(block_device_info):
            disks.attach(name, volume["connection_info"], volume["mount_device"])
        engine.run_in(name, "touch /dev/.plugged")

    def spawn(
        self,
        context: Any,
        instance: Any,
        image_meta: Any,
        injected_files: Any,
        admin_password: str | None,
        allocations: Any,
        network_info: Any = None,
        block_device_info: Any = None,
        power_on: bool = True,
        accel_info: Any = None,
    ) -> None:
        """Make a server and start it."""
        self._create(instance, network_info)
        name = container_name(instance)
        try:
            if configdrive.required_by(instance):
                engine.call("PUT", f"/containers/{name}/archive", self._seed(instance, network_info, injected_files, admin_password), path="/")
            waiting = [("network-vif-plugged", card["id"]) for card in network_info or [] if not card["active"]]
            with self.virtapi.wait_for_instance_event(instance, waiting, deadline=PLUG_SECONDS, error_callback=lambda *_event: True):
                self._start(instance, network_info, block_device_info)
        except Timeout as error:  # not an Exception
            self.destroy(context, instance, network_info, block_device_info)
            raise exception.VirtualInterfaceCreateException from error
        except Exception:
            self.destroy(context, instance, network_info, block_device_info)
            raise

    def destroy(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        block_device_info: Any = None,
        destroy_disks: bool = True,
        destroy_secrets: bool = True,
    ) -> None:
        """Remove the server; its volumes are free then."""
        try:
            engine.call("DELETE", f"/containers/{container_name(instance)}", force=1, v=1)
        except engine.NotFoundError:
            pass
        for volume in volumes(block_device_info):
            disks.release(volume["connection_info"])

    def cleanup(self, *_arguments: Any, **_options: Any) -> None:
        """Nothing is left to clean."""

    def power_on(self, context: Any, instance: Any, network_info: Any, block_device_info: Any = None, accel_info: Any = None) -> None:
        """Start again."""
        self._start(instance, network_info, block_device_info)

    def power_off(self, instance: Any, timeout: int = 0, retry_interval: int = 0) -> None:
        """Shut down, by force after the time-out."""
        engine.call("POST", f"/containers/{container_name(instance)}/stop", t=timeout or STOP_SECONDS)

    def reboot(
        self,
        context: Any,
        instance: Any,
        network_info: Any,
        reboot_type: str,
        block_device_info: Any = None,
        bad_volumes_callback: Any = None,
        accel_info: Any = None,
    ) -> None:
        """Stop and start."""
        self.power_off(instance)
        self._start(instance, network_info, block_device_info)

    def attach_volume(
        self,
        context: Any,
        connection_info: dict[str, Any],
        instance: Any,
        mountpoint: str,
        disk_bus: Any = None,
        device_type: Any = None,
        encryption: Any = None,
    ) -> None:
        """Attach; a server that is off gets the volume when it starts."""
        if self.get_info(instance).state == power_state.RUNNING:
            disks.attach(container_name(instance), connection_info, mountpoint)

    def detach_volume(self, context: Any, connection_info: dict[str, Any], instance: Any, mountpoint: str, encryption: Any = None) -> None:
        """Detach, unless it is mounted."""
        if self.get_info(instance).state == power_state.RUNNING:
            disks.detach(container_name(instance), connection_info, mountpoint)
        else:
            disks.release(connection_info)

    def default_root_device_name(self, instance: Any, image_meta: Any, root_bdm: Any) -> str:
        """Volumes are vdb, vdc, … as on KVM."""
        return "/dev/vda"

    def get_info(self, instance: Any, use_cache: bool = True) -> hardware.InstanceInfo:
        """Whether the server runs."""
        try:
            state = engine.call("GET", f"/containers/{container_name(instance)}/json")["State"]
        except engine.NotFoundError as error:
            raise exception.InstanceNotFound(instance_id=instance.uuid) from error
        return hardware.InstanceInfo(state=power_state.RUNNING if state["Running"] else power_state.SHUTDOWN)

    def list_instance_uuids(self) -> list[str]:
        """Servers that exist here."""
        found = engine.call("GET", "/containers/json", all=1, filters=json.dumps({"label": [LABEL]}))
        return [container["Labels"][LABEL] for container in found]

    list_instances = list_instance_uuids

    def get_console_output(self, context: Any, instance: Any) -> bytes:
        """What systemd and cloud-init printed."""
        return engine.call("GET", f"/containers/{container_name(instance)}/logs", stdout=1, stderr=1, tail=500)
