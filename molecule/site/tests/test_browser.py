# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees, in Debian's Chromium, headless, through TLS that it really verifies."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from testbed.browser import keep as screenshot
from testbed.browser import start, visit

SECONDS = 60


@pytest.fixture(scope="module")
def browser(site, tmp_path_factory):
    """A browser that trusts the lab's CA (and nothing else new) and finds the site's name at its address."""
    driver = start(tmp_path_factory.mktemp("home"), site.ca_file, "mlflow.site.test", site.address)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def errors() -> list[str]:
    """What the browser noted as errors on the pages of these tests."""
    return []


def wait_for(browser, css):
    """The first visible element of that kind."""
    return WebDriverWait(browser, SECONDS).until(lambda b: next((e for e in b.find_elements(By.CSS_SELECTOR, css) if e.is_displayed()), None))


def wait_for_text(browser, text):
    """Wait until the page shows the text."""
    WebDriverWait(browser, SECONDS).until(lambda b: text in b.find_element(By.TAG_NAME, "body").text)


@pytest.fixture
def see(browser, site, run_url, errors):
    """Open a run's page with the login in the address, as a password prompt would give it, and wait for what it is to show; keep a picture of it."""

    def look(suffix, wait, what, name):
        def once():
            browser.get(f"https://{site.user}:{site.password}@mlflow.site.test/")
            browser.get(f"https://mlflow.site.test/#{urlsplit(run_url).fragment}{suffix}")
            wait(browser, what)

        errors.extend(visit(browser, once))
        assert screenshot(browser, name).stat().st_size > 10_000, "a blank page"

    return look


def test_without_a_login_the_page_stays_closed(browser):
    visit(browser, lambda: browser.get("https://mlflow.site.test/"))
    assert "Experiments" not in browser.find_element(By.TAG_NAME, "body").text


def test_run_page_shows_the_parameters(see):
    see("", wait_for_text, "learning_rate", "run")


def test_run_page_draws_the_chart(see):
    see("/model-metrics", wait_for, ".js-plotly-plot .main-svg path.js-line", "chart")


def test_artifact_page_shows_the_figure(see):
    see("/artifacts/curve.png", wait_for, "img, .js-plotly-plot .main-svg image", "artifact")


def test_the_pages_have_no_errors_of_their_own(errors):
    assert not [message for message in errors if "401" not in message]
