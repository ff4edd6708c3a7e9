# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the connection to an OpenStack cloud."""

from __future__ import annotations


class ModuleDocFragment:
    """The names and the behaviour of the collection openstack.cloud; without its C(wait), because nothing here can be left unfinished."""

    DOCUMENTATION = r"""
options:
  cloud:
    description:
      - Name of a cloud in C(clouds.yaml), or a dictionary with all that would stand there; then no other option of the connection may be set.
      - Not needed where O(auth) or the environment variables C(OS_*) say how to log in.
    type: raw
  auth:
    description:
      - What the plugin O(auth_type) needs to log in, such as C(auth_url), C(username), C(password), C(project_name), C(user_domain_name) and
        C(project_domain_name).
      - Beside an application credential nothing may name a project or domain, neither here nor in the environment.
    type: dict
  auth_type:
    description: Plugin to log in with, such as V(password), V(v3applicationcredential) or V(v3token); openstacksdk takes V(password) where nothing says so.
    type: str
  region_name:
    description: Name of the region; upper and lower case matter.
    type: str
  timeout:
    description: Seconds that all tries together may take, those of a new key at the store included.
    type: int
    default: 180
  api_timeout:
    description: Seconds that one request may take; without it openstacksdk waits as long as it takes.
    type: int
  validate_certs:
    description: Whether the certificate of the cloud has to be valid.
    type: bool
    aliases: [verify]
  ca_cert:
    description: PEM file with the CA of the cloud.
    type: str
    aliases: [cacert]
  client_cert:
    description: PEM file with a client's certificate.
    type: str
    aliases: [cert]
  client_key:
    description: PEM file with its private key.
    type: str
    aliases: [key]
  interface:
    description: Which endpoint of the catalogue to use.
    type: str
    choices: [admin, internal, public]
    default: public
    aliases: [endpoint_type]
  sdk_log_path:
    description: File for the log of openstacksdk; requests for keys are never in it.
    type: str
  sdk_log_level:
    description: Level of that log.
    type: str
    choices: [INFO, DEBUG]
    default: INFO
requirements:
  - openstacksdk >= 1.0.0
notes:
  - Options that are not set come from C(clouds.yaml) and the environment variables C(OS_*), as with the modules of openstack.cloud.
"""
