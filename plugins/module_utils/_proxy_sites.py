# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the sites that a reverse proxy shall serve, in sentences for the person who wrote them."""

from __future__ import annotations

import ipaddress
import re

LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST_NAME = re.compile(rf"(?=.{{1,253}}\Z){LABEL}(\.{LABEL})*")
SITE_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
UPSTREAM = re.compile(r"unix:/[A-Za-z0-9._/-]+|(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}")
PATH = re.compile(r"/[A-Za-z0-9._/-]+")
PATHS = {
    "static_dir": "site_tracking_static_dir",
    "certificate_file": "site_tls_certificate_file",
    "key_file": "site_tls_key_file",
    "ca_file": "site_tls_ca_file",
}
UPSTREAMS = {"upstream": "site_tracking_upstream", "api_upstream": "site_tracking_api_upstream"}
NAMES = "site_fqdn or site_alternative_names"


def is_address(text: str) -> bool:
    """Whether the text is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def name_problem(name: str) -> str:
    """What is wrong with the name of a server, empty if nothing is."""
    if is_address(name):
        return ""
    if not name:
        return "it is empty"
    if "://" in name:
        return f"it has a scheme; the name alone is '{re.split('[/:]', name.partition('://')[2])[0]}'"
    if "/" in name:
        return "it has a path"
    if re.search(r":\d+\Z", name):
        return "it has a port"
    if not HOST_NAME.fullmatch(name):
        return "it is not a host name"
    return "it is not an address" if re.fullmatch(r"[\d.]+", name) else ""


def upstream_problem(value: str) -> str:
    """What is wrong with the place where MLflow listens, empty if nothing is."""
    if "://" in value:
        return f"it has a scheme, '{value.partition('://')[0]}'"
    if not UPSTREAM.fullmatch(value):
        return "nginx cannot connect to that"
    port = "" if value.startswith("unix:") else value.rpartition(":")[2]
    return f"there is no port {port}" if port and not 0 < int(port) < 65536 else ""


def sentence(option: str, seam: str, value: object, wrong: str, accepted: str) -> str:
    """A message in the collection's four parts."""
    return f"{option} (usually from {seam}) is '{value}': {wrong}. Accepted: {accepted}. Correct the variable; nothing was changed."


def site_problems(site: dict) -> list[str]:
    """Sentences about one site."""
    where, found = f"reverse_proxy_sites['{site['name']}']", []
    if not SITE_NAME.fullmatch(site["name"]):
        found.append(
            sentence(
                f"{where}.name", "reverse_proxy_sites", site["name"], "it becomes part of names in nginx", "a lower-case letter, then letters, digits, hyphens"
            )
        )
    if not site["server_names"]:
        found.append(sentence(f"{where}.server_names", NAMES, "[]", "a site needs a name", "at least one host name or address"))
    for name in site["server_names"]:
        if wrong := name_problem(name):
            accepted = "a host name such as mlflow.example.org, or an address, without scheme, port and path"
            found.append(sentence(f"{where}.server_names", NAMES, name, wrong, accepted))
    for key, seam in UPSTREAMS.items():
        if key in site and (wrong := upstream_problem(site[key])):
            found.append(sentence(f"{where}.{key}", seam, site[key], wrong, "unix:/run/name/socket or host:port, plain HTTP"))
    for key, seam in PATHS.items():
        if site.get(key) and not PATH.fullmatch(site[key]):
            found.append(sentence(f"{where}.{key}", seam, site[key], "nginx cannot use that", "an absolute path of letters, digits and ._/-"))
    return found


def problems(sites: list[dict]) -> list[str]:
    """Sentences about all sites; an empty list when they are good."""
    if not sites:
        return [sentence("reverse_proxy_sites", "its default", "[]", "there is nothing to serve", "at least one site")]
    found = [text for site in sites for text in site_problems(site)]
    for key, several in (("name", [site["name"] for site in sites]), ("server_names", [name for site in sites for name in set(site["server_names"])])):
        for twice in sorted({value for value in several if several.count(value) > 1}):
            found.append(sentence(f"reverse_proxy_sites, {key}", "more than one site", twice, "it is there twice", "each once"))
    return found
