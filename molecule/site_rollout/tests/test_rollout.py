# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollout where two of ten sites cannot be made. The tests go on from each other."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from sites import LABS, NO_QUOTA, WRONG_LOGIN, make_projects, mend
from testbed import browser
from testbed.cloud.labs import RECAP, changes

TWO = {WRONG_LOGIN.host, NO_QUOTA.host}
EIGHT = {lab.host for lab in LABS.labs} - TWO


def newest(kind: str) -> Path:
    """The newest report, `json` or `html`."""
    return max((LABS.directory / "reports").glob(f"*-site.{kind}"))


def report() -> dict[str, dict]:
    """The newest report, by host."""
    return {host["host"]: host for host in json.loads(newest("json").read_text(encoding="utf-8"))["hosts"]}


def timed(what: str, *options: str):
    """Run site.yml, and print how long it took."""
    started = time.monotonic()
    done = LABS.play("site.yml", *options)
    print(f"{what}: {time.monotonic() - started:.0f} s")
    return done


def test_eight_are_done_and_two_are_reported():
    make_projects()
    LABS.write()
    done = timed("10 sites, two of which cannot be made", "--forks", "10")
    found = {host: (int(changed), int(failed)) for host, changed, _unreachable, failed in RECAP.findall(done.stdout)}
    assert done.returncode, "a site has failed"
    assert {host for host, (changed, failed) in found.items() if failed} == TWO, done.stdout[-6000:]
    assert all(found[host][0] > 30 for host in EIGHT) and all(found[host][0] == 0 for host in TWO), found


def test_the_report_says_why():
    hosts = report()
    assert {host for host, entry in hosts.items() if entry["outcome"] == "done"} == EIGHT
    assert {host for host, entry in hosts.items() if entry["outcome"] == "failed"} == TWO
    assert "site_cloud" in hosts[WRONG_LOGIN.host]["failure"]["message"]
    assert "quota" in hosts[NO_QUOTA.host]["failure"]["message"]


def test_a_person_reads_the_report_in_a_browser(tmp_path):
    driver = browser.start(tmp_path)
    try:
        assert browser.visit(driver, lambda: driver.get(newest("html").as_uri())) == []
        text = driver.find_element("tag name", "body").text
        browser.keep(driver, "rollout-report")
    finally:
        driver.quit()
    assert all(host in text for host in report())
    assert "site_cloud" in text and "quota" in text


def test_the_eight_serve_their_labs():
    for lab in LABS.labs:
        if lab.host in EIGHT:
            site = LABS.site(lab)
            assert (site.status("/health"), site.status("/api/2.0/mlflow/experiments/search?max_results=1", login=True)) == (200, 200)


def test_a_repeat_after_the_mend_touches_only_the_two():
    mend()
    counts = changes(timed("10 sites, eight of which are as they should be", "--forks", "10"))
    assert {host for host, count in counts.items() if count} == TWO
    assert all(counts[host] > 30 for host in TWO)


def test_one_site_alone():
    lab = LABS.labs[0]
    changes(LABS.play("playbooks/destroy.yml", "--limit", lab.host, "-e", "destroy_data=true", "-e", f"destroy_confirm={lab.name}"))
    assert changes(timed("1 site", "--limit", lab.host))[lab.host] > 30
