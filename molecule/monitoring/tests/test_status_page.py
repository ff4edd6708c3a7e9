# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page in a real browser, wide and on a phone; the report of several sites beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from stack import wait_until
from testbed.browser import keep, start, visit
from testbed.engine import ROOT

SECTIONS = ["Services", "Backups and other jobs: last success", "Last proof of a restore", "Versions", "What ends when", "Disks", "Data and load"]


@pytest.fixture(scope="module", params=[(1400, 1000), (390, 844)], ids=["wide", "phone"])
def browser(request, site, tmp_path_factory):
    driver = start(tmp_path_factory.mktemp("home"), site.ca_file, site.fqdn, site.address, request.param)
    # a window of Chromium cannot be that narrow; what it emulates can
    driver.width, height = request.param
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": driver.width, "height": height, "deviceScaleFactor": 1, "mobile": False})
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, site, host):
    """The page of a state that is a few seconds old."""
    host.check_output("systemctl start labtrack-site_metrics.service labtrack-status.service")
    browser.noted = visit(browser, lambda: browser.get(f"https://{site.user}:{site.password}@{site.fqdn}/labtrack/status/"))
    return browser


def test_the_page_tells_everything(page):
    assert [element.text for element in page.find_elements(By.TAG_NAME, "h2")] == SECTIONS
    body = page.find_element(By.TAG_NAME, "body").text
    for text in ("monitoring-test", "State of 20", "labtrack-mlflow-main", "postgresql@17-labtrack", "3.17.2", "certificate", "% free", "site metrics"):
        assert text in body, body
    keep(page, f"status-{page.width}")


def test_it_fits_the_window(page):
    assert page.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_nothing_comes_from_elsewhere(page, site):
    assert page.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    assert not [message for message in page.noted if "favicon" not in message and "401" not in message]


def test_an_old_page_says_so(page):
    banner = page.find_element(By.ID, "old")
    assert not banner.is_displayed()
    page.execute_script("made_before = document.getElementById('old'); Date.now = () => (Number(made_before.dataset.made) + 301) * 1000; look();")
    assert banner.is_displayed() and "old" in banner.text


def test_json_says_the_same(host, site, stack):
    wait_until(lambda: not stack.told() - {"OutOfMemoryKill"}, 120, "no alert")
    host.check_output("systemctl start labtrack-status.service")
    data = json.loads(site.curl("/labtrack/status/status.json", login=True))
    assert data["state"] == ("warning" if data["alerts"] else "ok"), data
    assert data["site"] == "monitoring-test" and data["url"] == f"https://{site.fqdn}"
    assert {service["name"]: service["up"] for service in data["services"]}["nginx"] is True
    assert data["disks"] and data["versions"]["mlflow"] == "3.17.2"


def test_without_prometheus_the_state_is_not_known(host, site):
    host.check_output("systemctl stop prometheus.service")
    try:
        host.check_output("systemctl start labtrack-status.service")
        data = json.loads(site.curl("/labtrack/status/status.json", login=True))
        assert data["state"] == "unknown" and "Prometheus" in data["reason"]
        assert data["versions"]["mlflow"] == "3.17.2", "what the machine knows without it is still told"
    finally:
        host.check_output("systemctl start prometheus.service")


def test_one_report_of_several_sites(host, tmp_path, browser):
    inventory = json.loads((Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml").read_text(encoding="utf-8"))
    away = {"site_name": "away", "site_fqdn": "mlflow.away.test", "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
    inventory["all"]["hosts"]["away"] = away
    inventory["all"]["children"]["tracking_servers"]["hosts"]["away"] = {}
    (tmp_path / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    host.check_output("systemctl start labtrack-status.service")
    told = json.loads(host.file("/var/lib/labtrack-status/status.json").content_string)["state"]
    command = [Path(sys.executable).parent / "ansible-playbook", "-i", tmp_path / "hosts.json", "playbooks/status.yml", "-e", f"status_report_dir={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stdout + done.stderr  # a machine could not be reached
    states = {data["site"]: data["state"] for data in json.loads((tmp_path / "status.json").read_text(encoding="utf-8"))}
    assert states == {"monitoring-test": told, "away": "unreachable"}, done.stdout
    assert (tmp_path / "status.html").stat().st_mode & 0o777 == 0o600
    browser.get(f"file://{tmp_path}/status.html")
    assert len(browser.find_elements(By.CSS_SELECTOR, "body > section:first-of-type tr")) == 3  # the overview; each site's own are in a grid
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    keep(browser, f"status-sites-{browser.width}")
