# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's Chromium, headless, that trusts the lab's CA and finds a site's name at its address."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .engine import CACHE, install_packages

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
]
SCREENSHOTS = CACHE / "artifacts"
DROPPED = "ERR_NETWORK_CHANGED"
VISITS = 5


def start(home: Path, ca_file: Path | None = None, fqdn: str = "", address: str = "", size: tuple[int, int] = (1400, 1000)) -> Any:
    """A driver of selenium; `home` is an empty directory for the browser's files. End it with `quit`. Without a site it is for files."""
    from selenium import webdriver

    install_packages("chromium", "chromium-driver", "libnss3-tools")
    store = home / ".pki" / "nssdb"
    store.mkdir(parents=True)
    trust = [["-A", "-t", "C,,", "-n", "lab", "-i", str(ca_file)]] if ca_file else []
    for command in (["-N", "--empty-password"], *trust):
        subprocess.run(["certutil", "-d", f"sql:{store}", *command], check=True, capture_output=True)
    options = webdriver.ChromeOptions()
    for argument in [*ARGUMENTS, f"--window-size={size[0]},{size[1]}", f"--user-data-dir={home}/profile"]:
        options.add_argument(argument)
    if fqdn:
        options.add_argument(f"--host-resolver-rules=MAP {fqdn} {address}")
    options.binary_location = "/usr/bin/chromium"
    service = webdriver.ChromeService("/usr/bin/chromedriver", env={**os.environ, "HOME": str(home)})
    return webdriver.Chrome(options=options, service=service)


def visit(browser: Any, look: Callable[[], object]) -> list[str]:
    """Open a page and look at it; the errors that the browser then noted.

    Chromium drops every request (ERR_NETWORK_CHANGED) when an interface of this computer comes or goes, and Docker makes one for each container that a
    scenario starts beside this one: such a visit is made again.
    """
    from selenium.common.exceptions import WebDriverException

    for left in reversed(range(VISITS)):
        failure = None
        try:
            look()
        except WebDriverException as error:
            failure = error
        noted = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        if left and DROPPED in f"{failure} {noted}":
            continue
        if failure:
            raise failure
        return noted
    raise AssertionError  # the last visit returns or raises


def keep(browser: Any, name: str) -> Path:
    """A screenshot for people."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    browser.save_screenshot(str(path))
    return path
