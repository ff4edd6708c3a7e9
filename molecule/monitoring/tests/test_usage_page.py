# SPDX-License-Identifier: GPL-3.0-or-later
"""The usage page, for administrators only, in a real browser: reached from the status page, and what people name things is text."""

from __future__ import annotations

import json

import pytest
from selenium.webdriver.common.by import By
from testbed.browser import keep, start, visit

NASTY = "<script>document.title = 'taken over'</script>"
PAGE = "/labtrack/usage/"


@pytest.fixture(scope="module", params=[(1400, 1000), (390, 844)], ids=["wide", "phone"])
def browser(request, site, host, tmp_path_factory):
    body = json.dumps({"name": NASTY})
    site.curl("/api/2.0/mlflow/experiments/create", "-X", "POST", "-H", "Content-Type: application/json", "-d", body, login=True)
    host.check_output("systemctl start labtrack-usage.service")
    host.check_output("systemctl start labtrack-status.service")
    driver = start(tmp_path_factory.mktemp("home"), site.ca_file, site.fqdn, site.address, request.param)
    width, height = request.param
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
    driver.noted = visit(driver, lambda: driver.get(f"https://{site.user}:{site.password}@{site.fqdn}/labtrack/status/"))
    driver.noted += visit(driver, driver.find_element(By.CSS_SELECTOR, f"a[href$='{PAGE}']").click)
    keep(driver, f"usage-{width}")
    yield driver
    driver.quit()


def test_the_status_page_leads_to_it(browser, site):
    assert browser.current_url.endswith(f"{site.fqdn}{PAGE}")
    assert browser.title == "Usage of monitoring-test"
    assert [element.text for element in browser.find_elements(By.TAG_NAME, "h2")] == ["By user", "By experiment", "What is counted"]
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")


def test_a_name_is_text(browser):
    assert NASTY in browser.find_element(By.TAG_NAME, "body").text
    assert browser.find_elements(By.TAG_NAME, "script") == []


def test_nothing_comes_from_elsewhere(browser):
    assert browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    assert not [message for message in browser.noted if "favicon" not in message and "401" not in message]


@pytest.mark.parametrize("file", ["", "usage.json", "usage.txt"])
def test_only_administrators_see_names_and_amounts(site, plain, file):
    assert site.status(PAGE + file) == 401
    assert plain.status("/labtrack/status/", login=True) == 200
    assert plain.status(PAGE + file, login=True) == 403
    assert site.status(PAGE + file, login=True) == 200
