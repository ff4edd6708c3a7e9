# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: site_status_report
short_description: Make one report of the states of several sites
version_added: 0.1.0
description:
  - Takes the variables of hosts on which C(status.json) was looked for (C(status_file)) and read (C(status_read)), as C(playbooks/status.yml) does, and returns
    one page and one JSON text. A site of which nothing was read is in it as not reachable.
author: labtrack contributors (@labtrack)
options:
  _input:
    description: Variables of each host, C(site_name) and C(site_fqdn) among them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Write the page
  ansible.builtin.copy:
    dest: /tmp/status.html
    content: "{{ (groups['tracking_servers'] | map('extract', hostvars) | list | labtrack.mlflow.site_status_report).html }}"
    mode: "0600"
"""

RETURN = r"""
_value:
  description: C(html) and C(json), two texts, and C(states), the state by site.
  type: dict
  sample: {"html": "<!doctype html>…", "json": "[…]", "states": {"physics": "ok"}}
"""

import base64
import json
import time

from ansible_collections.labtrack.mlflow.plugins.module_utils import _site_status

NO_PAGE = "its machine has no status page: the monitoring is off, or site.yml has not run"


def state(host: dict) -> dict:
    """What the site tells; a state made here where it tells nothing."""
    name = str(host.get("site_name", "lab"))
    silent = {"site": name, "url": f"https://{host.get('site_fqdn', name)}", "generated_timestamp_seconds": 0, "alerts": []}
    content = (host.get("status_read") or {}).get("content")
    if not content:
        looked = "stat" in (host.get("status_file") or {})
        return {**silent, "state": "unreachable", "reason": NO_PAGE if looked else "no login to its machine"}
    try:
        data = json.loads(base64.b64decode(content))
    except ValueError:
        return {**silent, "state": "unknown", "reason": "its status cannot be read"}
    age = time.time() - data["generated_timestamp_seconds"]
    if age > _site_status.STALE_SECONDS:
        data.update(state="unknown", reason=f"its status is {_site_status.ago(age)} old")
    return data


def report(hosts: list[dict]) -> dict:
    """Page, JSON, and the states."""
    sites = [state(host) for host in hosts]
    page = _site_status.page(sites, time.time())
    return {"html": page, "json": json.dumps(sites, indent=1) + "\n", "states": {data["site"]: data["state"] for data in sites}}


class FilterModule:
    """The filter, under its name."""

    def filters(self):
        """Return what this file offers."""
        return {"site_status_report": report}
