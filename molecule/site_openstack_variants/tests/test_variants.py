# SPDX-License-Identifier: GPL-3.0-or-later
"""Each cloud gives either a machine or a clear stop before anything is made; what passes in a cloud is waited out, and everything is there once."""

from __future__ import annotations

import json

import cloud_project
import pytest
from cloud_site import Site, changed, words
from testbed.cloud import facts, faults

# a store elsewhere, which check_site.yml does not ask before there is a machine
ELSEWHERE = {
    "object_store_credentials": "provide",
    "site_s3_endpoint": "https://store.test",
    "site_s3_access_key": "a-key-of-the-lab",
    "site_s3_secret_key": "a-secret-key-of-the-lab",
}
# and none at all
LOCAL = {"tracking_server_artifacts_mode": "local"}
LATE_SECONDS = 123  # the role gives up a request after 120
CALLS = [("compute", "POST", "/servers"), ("network", "POST", "/ports"), ("network", "POST", "/floatingips")]


@pytest.fixture(scope="module", autouse=True)
def late(client, site):
    """A site whose volume the cloud makes after the client has given up; it runs beside the other tests."""
    late = Site(site.directory.parent / "late", "variants-late", LOCAL)
    faults.add(client, "volume", "POST", f"{late.lab.current_project_id}/volumes", 0, 1, LATE_SECONDS)
    process = late.start("site.yml", "--tags", "openstack_server")
    # until the request is on its way: the other tests forget all faults
    while "/volumes" in faults.tell(client, "list"):
        assert process.poll() is None, process.communicate()[0][-4000:]
    return late, process


def test_without_passwords_a_password_is_refused_and_an_application_credential_suffices(site, switched, refused):
    with switched("no-password"):
        said = refused(**ELSEWHERE)
        checked = site.play("playbooks/check_site.yml", "-e", f"site_cloud={site.name}-app", *(f"-e{name}={value}" for name, value in ELSEWHERE.items()))
    assert "site_cloud is 'variants': the cloud refuses the login" in said
    assert changed(checked) == 0 and "mlflow can be made" in words(checked)


@pytest.mark.parametrize("entry", ["app", "app-restricted"])
def test_a_login_that_can_make_no_key_is_told_the_ways_out(site, refused, entry):
    said = refused(site_cloud=f"{site.name}-{entry}")
    for text in ("the cloud lets no application credential", "(a)", "(b)", "(c)", "object_store_credentials to provide"):
        assert text in said, said[-3000:]


def test_without_an_object_store_another_one_is_asked_for(switched, refused):
    with switched("no-object-store"):
        said = refused()
    assert "has no S3 store for this login" in said and "Put the host into the group object_store_servers" in said


def test_an_exhausted_quota_is_told_in_full(quota, refused):
    with quota():
        said = refused(**ELSEWHERE)
    kinds = ["1 instances", "1 cores", "1 volumes", "3 gigabytes", "1 security groups", "3 ports", "1 networks", "1 routers"]
    assert [kind for kind in kinds if f"{kind} would be made, 0 are free of 0" not in said] == [], said[-4000:]
    assert "openstack_server_floating_ip_enabled is 'True': the project may have no floating IPs" in said


def test_without_floating_ips_and_metadata_service(site, quota, switched, refused, play):
    """Attached to the external network, with a config drive."""
    site.clear()
    direct = {**LOCAL, "openstack_server_floating_ip_enabled": False, "openstack_server_network_create_enabled": False}
    direct |= {"openstack_server_network": facts.EXTERNAL_NETWORK, "site_cloud": f"{site.name}-app-restricted"}
    with quota(kinds=(), network=("floating_ips", "networks", "routers")):
        said = refused(**{**direct, "openstack_server_floating_ip_enabled": True})
        assert "Set it to false, and openstack_server_network to the external network" in said
        cloud_project.share_external_network(site.admin, site.lab.current_project_id)
        with switched("no-metadata"):
            changed(play(**direct))
        site.has_one_each(floating_ip=False, own_network=False)
        assert changed(play(**direct)) == 0


@pytest.mark.parametrize("statuses", [(409, 429), (500, 504)])
def test_what_passes_is_waited_out(site, client, fault, statuses):
    site.clear()
    for call in (*CALLS, ("volume", "POST", f"{site.lab.current_project_id}/volumes")):
        fault(*call, *statuses)
    process = site.start("site.yml", "--tags", "openstack_server", "-e", json.dumps(LOCAL))
    while not (servers := list(site.lab.compute.servers())):
        assert process.poll() is None, process.communicate()[0][-4000:]
    # while it is waited for; not those of others
    fault("compute", "GET", f"/servers/{servers[0].id}", *statuses)
    output = process.communicate()[0]
    assert process.returncode == 0, output[-4000:]
    assert faults.tell(client, "list") == "", "not all were asked for"
    site.has_one_each()


def test_what_does_not_pass_is_explained_and_the_next_run_goes_on(site, client, fault, play):
    site.clear()
    faults.add(client, "volume", "POST", f"{site.lab.current_project_id}/volumes", 500, times=1000)
    done = play(openstack_server_timeout_seconds=60, **LOCAL)
    assert done.returncode == 2
    for text in ("the cloud was not ready in that time (block_storage: status 500", "run again: what was made is found", "Done before: create key pair"):
        assert text in words(done), words(done)[-3000:]
    faults.clear(client)
    fault("volume", "POST", f"{site.lab.current_project_id}/volumes", 403)
    done = play(**LOCAL)
    assert done.returncode == 2
    assert "this login may not do what is needed (block_storage, POST /volumes: status 403: A fault that a test asked for.)" in words(done)
    changed(play(**LOCAL))
    site.has_one_each()


def test_what_the_cloud_makes_after_the_time_out_is_there_once(late):
    site, process = late
    output = process.communicate()[0]
    assert process.returncode == 0, output[-6000:]
    site.has_one_each()
    done = site.play("site.yml", "--tags", "openstack_server")
    assert changed(done) == 0
    site.has_one_each()
