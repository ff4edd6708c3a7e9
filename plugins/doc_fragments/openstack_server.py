# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that describe a server in an OpenStack cloud."""

from __future__ import annotations


class ModuleDocFragment:
    """Shared by M(labtrack.mlflow.openstack_server) and M(labtrack.mlflow.openstack_server_info)."""

    DOCUMENTATION = r"""
options:
  name:
    description: Name of the server; what belongs to it is named after it.
    type: str
    required: true
  site:
    description: Written on everything as C(labtrack_site).
    type: str
    required: true
  host:
    description: Written on everything that is not the whole site's as C(labtrack_host).
    type: str
    required: true
  profile:
    description: What is known of the cloud, as for P(labtrack.mlflow.cloud_profile#lookup). Here it only serves to notice another cloud.
    type: str
    default: generic
  public_key_file:
    description: File on the control machine with the OpenSSH public key that opens the server.
    type: path
    default: ~/.ssh/id_ed25519.pub
  image:
    description: Name, pattern or id of the image. Of several, the newest one is taken; a pattern matches letters in any case.
    type: str
    required: true
  flavor:
    description: Name or id of the flavor.
    type: str
    required: true
  availability_zone:
    description: Zone of the server; empty lets the cloud choose.
    type: str
    default: ''
  config_drive_enabled:
    description: Whether the server gets its settings on a drive, and needs no metadata service.
    type: bool
    default: true
  user_data:
    description: Text for cloud-init. Everybody on the server can read it.
    type: str
    default: ''
  boot_volume_gb:
    description: Size of a volume to boot from; 0 boots from the flavor's own disk.
    type: int
    default: 0
  boot_volume_type:
    description: Type of that volume; empty means the cloud's default.
    type: str
    default: ''
  network:
    description: Name, pattern or id of the existing network. A pattern has to match exactly one network of the project.
    type: str
    default: '*'
  network_create:
    description: Make network, subnet and router for the site instead.
    type: bool
    default: false
  network_cidr:
    description: Addresses of that subnet.
    type: str
    default: 10.76.0.0/24
  dns_servers:
    description: Name servers of that subnet; empty means the cloud's.
    type: list
    elements: str
    default: []
  external_network:
    description: Name, pattern or id of the external network, for floating IP and router.
    type: str
    default: '*'
  floating_ip_enabled:
    description: Whether the server gets a floating IP. Without one, the address of its port is its public one.
    type: bool
    default: true
  floating_ip_address:
    description: A floating IP of the project to use. Empty makes one.
    type: str
    default: ''
  rules:
    description: What may come in; everything else may not. All may go out.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: TCP port.
        type: int
        required: true
      cidrs:
        description: Networks that may reach it.
        type: list
        elements: str
        required: true
  extra_security_groups:
    description: Names of further security groups of the project for the port; they are not changed.
    type: list
    elements: str
    default: []
  volume_gb:
    description: Size of the data volume; 0 means none.
    type: int
    default: 0
  volume_type:
    description: Its type; empty means the cloud's default.
    type: str
    default: ''
  volume_availability_zone:
    description: Its zone; empty lets the cloud choose.
    type: str
    default: ''
  variable_names:
    description: What the options are called in the inventory; messages use these names.
    type: dict
    default: {}
"""
