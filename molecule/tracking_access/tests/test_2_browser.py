# SPDX-License-Identifier: GPL-3.0-or-later
"""What people see of each other's experiments in Debian's Chromium, through TLS that it really verifies."""

from __future__ import annotations

import pytest
from conftest import password_of
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from testbed.browser import keep, start

SECONDS = 90


@pytest.fixture
def browser(site, tmp_path):
    """Of one person: a browser remembers a login as long as it runs."""
    driver = start(tmp_path, site.ca_file, site.fqdn, site.address)
    yield driver
    driver.quit()


@pytest.mark.parametrize(
    ("name", "shown", "hidden"),
    [
        ("p05", {"imaging", "shared"}, {"theory", "wet", "dry", "robots", "nobodys"}),
        ("p04", {"imaging", "theory", "wet", "dry", "robots", "shared", "nobodys"}, set()),
        ("p12", {"wet"}, {"imaging", "theory", "dry", "robots", "shared", "nobodys"}),
    ],
)
def test_the_list_of_experiments(browser, site, name, shown, hidden):
    browser.get(f"https://{name}:{password_of(name)}@{site.fqdn}/")
    browser.get(f"https://{site.fqdn}/#/experiments")

    def links(driver) -> set[str]:
        return {link.text.strip() for link in driver.find_elements(By.CSS_SELECTOR, "a[href*='/experiments/']")}

    WebDriverWait(browser, SECONDS).until(lambda driver: shown <= links(driver))
    keep(browser, f"experiments-of-{name}")
    assert not links(browser) & hidden


def test_without_a_login_nothing_is_shown(browser, site):
    browser.get(f"https://{site.fqdn}/#/experiments")
    assert "shared" not in browser.find_element(By.TAG_NAME, "body").text
