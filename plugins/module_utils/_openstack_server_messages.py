# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of a server in an OpenStack cloud, in plain words, with what to do."""

from __future__ import annotations

import typing as t

Text = tuple[str, str, str, str]
# reason: (option, what is wrong, what is accepted, what to do)
LOGIN: dict[str, Text] = {
    "cloud_options": ("cloud", "it holds a whole configuration, and {detail} is set beside it", "one of the two", "Move {detail} into it."),
    "config": (
        "cloud",
        "the connection to the cloud is not set up ({detail})",
        "an entry of clouds.yaml, or '' with OS_* variables",
        "Correct the entry, or load the openrc file of the cloud again.",
    ),
    "forbidden": (
        "cloud",
        "this login may not do what is needed ({detail})",
        "a login with the role member in the project, without access rules that forbid it",
        "Make another application credential, or ask the cloud's staff.",
    ),
    "login": (
        "cloud",
        "the cloud refuses the login ({detail})",
        "{logins}",
        "Check id, secret and end of the credential; make a new one in the cloud's dashboard.",
    ),
    "login_expired": ("cloud", "the token or credential has expired or was withdrawn ({detail})", "a valid login", "Log in again, or make a new credential."),
    "login_scope": (
        "cloud",
        "{detail} stands beside an application credential, which has its project in itself and may choose none",
        "the credential alone",
        "Remove it from clouds.yaml and the environment ('unset OS_PROJECT_ID OS_PROJECT_NAME OS_USER_DOMAIN_NAME OS_PROJECT_DOMAIN_ID').",
    ),
    "no_clouds_yaml": (
        "cloud",
        "there is no clouds.yaml",
        "an entry of a clouds.yaml in {detail}, or '' with OS_* variables",
        "Download clouds.yaml from the cloud's dashboard (Identity, Application Credentials) into one of these directories, or set OS_CLIENT_CONFIG_FILE.",
    ),
    "no_login": (
        "cloud",
        "nothing says how to log in: no OS_* variables, and no entry of clouds.yaml is named",
        "an entry of clouds.yaml{detail}, or '' with OS_* variables",
        "Set it in the site's inventory, or load the openrc file of the cloud ('source openrc.sh').",
    ),
    "no_project": ("cloud", "the login is for no project", "a login for the project of the lab", "Set project_name or project_id in the entry."),
    "no_service": ("cloud", "the cloud has no usable service {detail}", "a cloud with Nova, Neutron, Cinder and Glance", "Check region and entry."),
    "retired": ("cloud", "{detail}", "a cloud that runs", "Use its successor, and set site_cloud_profile accordingly."),
    "sdk": (
        "ansible_python_interpreter",
        "the control machine's Python cannot import openstacksdk ({detail})",
        "a Python with openstacksdk",
        "Install openstacksdk beside Ansible.",
    ),
    "tls": ("cloud", "the certificate of the cloud is not trusted ({detail})", "a cloud whose CA is known", "Give its CA as 'cacert' of the entry."),
    "unavailable": (
        "timeout",
        "the cloud was not ready in that time ({detail})",
        "a cloud that answers",
        "Check its status, and run again: what was made is found.",
    ),
    "unknown_cloud": ("cloud", "no such entry in clouds.yaml", "{detail}", "Correct it."),
    "wrong_cloud": ("profile", "the login is at '{detail}'", "the profile of the cloud where the login is", "Correct site_cloud_profile or site_cloud."),
    "wrong_region": ("cloud", "its region is not known", "one of {detail}", "Correct region_name of the entry; upper and lower case matter."),
}
SERVER: dict[str, Text] = {
    "address_foreign": (
        "floating_ip_address",
        "{detail}",
        "a floating IP of this project that serves no other machine, or '' to get a new one",
        "Choose a free one ('openstack floating ip list'), or make one.",
    ),
    "availability_zone": ("availability_zone", "{detail}", "a zone that is there, or '' for the cloud's choice", "Correct it."),
    "boot_volume": ("boot_volume_gb", "{detail}", "room for the image", "Set boot_volume_gb to that size or more, or take another flavor."),
    "console": (
        "host_key_scan_enabled",
        "the console log of the server shows no host keys ({detail})",
        "an image whose cloud-init prints them, or true",
        "Set it to true to trust the first answer on the network, or use another image.",
    ),
    "error_data": (
        "name",
        "{detail}",
        "a server or volume in order, or one in ERROR that never held data",
        "Look at it with the cloud's staff; reset or delete it yourself, then run again.",
    ),
    "external_network": (
        "external_network",
        "{detail}",
        "name or pattern of exactly one external network",
        "Correct it; it is only needed for a floating IP or a network that the role makes.",
    ),
    "extra_group": ("extra_security_groups", "{detail}", "names of security groups of the project", "Correct them."),
    "failed": (
        "name",
        "the cloud could not make it ({detail})",
        "room in the cloud",
        "Try another flavor, image or availability zone; the next run removes what failed.",
    ),
    "flavor": ("flavor", "{detail}", "name or id of a flavor", "Take one of them ('openstack flavor list')."),
    "foreign": (
        "name",
        "{detail} is there already, and it is not this host's: it lacks the metadata or tags labtrack_site and labtrack_host",
        "a name that is free",
        "Choose another name, or rename or remove the other.",
    ),
    "host_key": (
        "name",
        "the machine at its address has another host key than {detail}",
        "the machine of which the host key is known",
        "Find out which machine answers; if it is yours and was reinstalled, delete its ssh_known_hosts.txt and run again.",
    ),
    "image": ("image", "{detail}", "name, pattern or id of an image of Debian 12 or 13", "Take one of them ('openstack image list'), or upload one."),
    "network": ("network", "{detail}", "name or pattern of exactly one network of the project", "{hint}"),
    "no_floating_ips": (
        "floating_ip_enabled",
        "the project may have no floating IPs ({detail})",
        "true in a project that may have some, else false",
        "Set it to false, and openstack_server_network to the external network, if servers may be attached to that; or ask for floating IPs.",
    ),
    "public_key": (
        "public_key_file",
        "{detail}",
        "the file of an OpenSSH public key, such as ~/.ssh/id_ed25519.pub",
        "Make one with 'ssh-keygen -t ed25519', or name another file.",
    ),
    "quota": ("cloud", "the project's quota does not suffice ({detail})", "a project with room", "Remove what is not needed, or ask for more."),
    "refused": ("name", "the cloud refuses it ({detail})", "what the cloud can do", "Correct the variable that the cloud's message speaks of."),
    "several": ("name", "there are {detail}, all marked as this host's", "one", "Delete those that are not in use."),
    "ssh": (
        "name",
        "SSH does not answer at {detail}",
        "a server that can be reached from the control machine",
        "Look at the console ('openstack console log show'), at site_admin_cidrs, and at firewalls between; then run again.",
    ),
    "ssh_tools": ("name", "ssh-keyscan cannot be run on the control machine ({detail})", "OpenSSH's client", "Install it (Debian: openssh-client)."),
    "state": ("name", "{detail}", "a server that is ACTIVE or SHUTOFF", "Bring it there with the cloud's tools ('openstack server …'), then run again."),
    "volume_availability_zone": ("volume_availability_zone", "{detail}", "a zone that is there, or '' for the cloud's choice", "Correct it."),
    "volume_type": ("volume_type", "{detail}", "a volume type, or '' for the cloud's default", "Take one of them ('openstack volume type list')."),
    "boot_volume_type": ("boot_volume_type", "{detail}", "a volume type, or '' for the cloud's default", "Take one of them ('openstack volume type list')."),
    "volume_used": ("name", "{detail}", "a data volume that is free, or attached to this server", "Detach it from the other server first."),
}
MESSAGES = {**LOGIN, **SERVER}
LIMIT = 600


class ServerError(Exception):
    """`reason` is a key of MESSAGES, `values` fill its text."""

    def __init__(self, reason: str, detail: str = "", **values: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.values = reason, " ".join(detail.split())[:LIMIT], values


def explain(reason: str, detail: str, params: dict[str, t.Any], **values: str) -> str:
    """One message in four parts: variable, value, what is accepted, what to do."""
    option, wrong, accepted, action = MESSAGES[reason]
    names = params.get("variable_names") or {}
    filled = {"detail": detail, "logins": "a user, or an application credential, that exists", "hint": "Correct it.", **values}
    shown = params.get(option)
    shown = f" is '{shown}'" if isinstance(shown, (str, int)) else ""
    wrong, accepted, action = (text.format(**filled) for text in (wrong, accepted, action))
    return f"{names.get(option, option)}{shown}: {wrong}. Accepted: {accepted}. {action}"
