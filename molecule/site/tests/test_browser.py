# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees, in Debian's Chromium, headless, through TLS that it really verifies."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from testbed.engine import CACHE, install_packages

SECONDS = 60
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--window-size=1400,1000",
]
SCREENSHOTS = CACHE / "artifacts"


@pytest.fixture(scope="module")
def browser(site, tmp_path_factory):
    """A browser that trusts the lab's CA (and nothing else new) and finds the site's name at its address."""
    install_packages("chromium", "chromium-driver", "libnss3-tools")
    home = tmp_path_factory.mktemp("home")
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    for command in (["-N", "--empty-password"], ["-A", "-t", "C,,", "-n", "lab", "-i", str(site.ca_file)]):
        subprocess.run(["certutil", "-d", f"sql:{store}", *command], check=True, capture_output=True)
    options = webdriver.ChromeOptions()
    for argument in [
        *ARGUMENTS,
        f"--user-data-dir={home}/profile",
        f"--host-resolver-rules=MAP mlflow.site.test {site.address}",
    ]:
        options.add_argument(argument)
    options.binary_location = "/usr/bin/chromium"
    service = webdriver.ChromeService("/usr/bin/chromedriver", env={**os.environ, "HOME": str(home)})
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


def open_page(browser, site, run_url, suffix=""):
    """Open a run's page with the login in the address, as a password prompt would give it."""
    fragment = urlsplit(run_url).fragment
    browser.get(f"https://{site.user}:{site.password}@mlflow.site.test/")
    browser.get(f"https://mlflow.site.test/#{fragment}{suffix}")


def wait_for(browser, css):
    """The first visible element of that kind."""
    return WebDriverWait(browser, SECONDS).until(lambda b: next((e for e in b.find_elements(By.CSS_SELECTOR, css) if e.is_displayed()), None))


def wait_for_text(browser, text):
    """Wait until the page shows the text."""
    WebDriverWait(browser, SECONDS).until(lambda b: text in b.find_element(By.TAG_NAME, "body").text)


def keep(browser, name):
    """Keep a screenshot of more than a blank page."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = Path(SCREENSHOTS) / f"{name}.png"
    assert browser.save_screenshot(str(path))
    assert path.stat().st_size > 10_000


def test_without_a_login_the_page_stays_closed(browser):
    browser.get("https://mlflow.site.test/")
    assert "Experiments" not in browser.find_element(By.TAG_NAME, "body").text


def test_run_page_shows_the_parameters(browser, site, run_url):
    open_page(browser, site, run_url)
    wait_for_text(browser, "learning_rate")
    keep(browser, "run")


def test_run_page_draws_the_chart(browser, site, run_url):
    open_page(browser, site, run_url, "/model-metrics")
    wait_for(browser, ".js-plotly-plot .main-svg path.js-line")
    keep(browser, "chart")


def test_artifact_page_shows_the_figure(browser, site, run_url):
    open_page(browser, site, run_url, "/artifacts/curve.png")
    wait_for(browser, "img, .js-plotly-plot .main-svg image")
    keep(browser, "artifact")


def test_the_page_has_no_errors_of_its_own(browser):
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE" and "401" not in entry["message"]]
    assert not severe
