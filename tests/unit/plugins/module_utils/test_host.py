# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read from a machine: processes, sshd, units, firewall, space."""

from __future__ import annotations

from ansible_collections.labtrack.mlflow.plugins.module_utils import _host


def process(proc, pid, parent, environ):
    """A directory as /proc has it."""
    (proc / str(pid)).mkdir()
    (proc / str(pid) / "environ").write_bytes(b"\0".join(entry.encode() for entry in environ) + b"\0")
    (proc / str(pid) / "status").write_text(f"Name:\tx\nPid:\t{pid}\nPPid:\t{parent}\nUid:\t0\n", encoding="utf-8")


def test_the_connection_is_found_above_sudo(tmp_path):
    process(tmp_path, 9, 8, ["PATH=/bin", "SUDO_USER=debian"])
    process(tmp_path, 8, 7, ["SUDO_USER=debian"])
    process(tmp_path, 7, 1, ["SSH_CONNECTION=192.0.2.7 50000 192.0.2.1 22"])
    assert _host.environment_of_ancestors("SSH_CONNECTION", 9, tmp_path) == "192.0.2.7 50000 192.0.2.1 22"


def test_without_ssh_there_is_none(tmp_path):
    process(tmp_path, 9, 1, ["PATH=/bin"])
    assert _host.environment_of_ancestors("SSH_CONNECTION", 9, tmp_path) == ""
    assert _host.environment_of_ancestors("SSH_CONNECTION", 404, tmp_path) == ""


def test_a_connection_is_split():
    assert _host.ssh_connection("192.0.2.7 50000 192.0.2.1 2222") == {"client_address": "192.0.2.7", "server_port": "2222"}
    assert _host.ssh_connection("") == {"client_address": "", "server_port": ""}


def test_sshd_settings_that_repeat_are_lists():
    settings = _host.sshd_settings("port 22\nport 2222\npasswordauthentication no\nauthorizedkeysfile .ssh/authorized_keys /etc/keys/%u\n\n")
    assert settings == {"port": ["22", "2222"], "passwordauthentication": "no", "authorizedkeysfile": [".ssh/authorized_keys", "/etc/keys/%u"]}


def test_units_are_told_apart_also_when_one_does_not_exist():
    output = "Id=ssh.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n\n"
    output += "Id=x.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n"
    assert _host.units(output, ["ssh.service", "x.service"]) == {
        "ssh.service": {"load": "loaded", "active": "active", "enabled": "enabled"},
        "x.service": {"load": "not-found", "active": "inactive", "enabled": ""},
    }


def test_the_policy_of_the_firewall():
    listed = '{"nftables": [{"metainfo": {}}, {"table": {"name": "labtrack"}}, {"chain": {"name": "input", "policy": "drop"}}]}'
    assert _host.firewall_policy(listed) == "drop"
    assert _host.firewall_policy(listed, "forward") == ""
    assert _host.firewall_policy("") == ""
    assert _host.firewall_policy("Error: No such file") == ""


def test_free_space_of_a_path_that_does_not_exist_yet(tmp_path):
    assert _host.free_mb(str(tmp_path / "a" / "b")) == _host.free_mb(str(tmp_path)) > 0


def test_packages_that_were_removed_do_not_count():
    output = "installed nginx 1.26.3-3+deb13u1\nconfig-files apache2 2.4.65-2\nnot-installed chrony \ninstalled libc6 2.41-12\n"
    assert _host.packages(output) == {"nginx": "1.26.3-3+deb13u1", "libc6": "2.41-12"}


def test_the_marker_of_the_data(tmp_path):
    (tmp_path / "marker").write_text("a4GQ\n")
    assert _host.first_line(tmp_path / "marker") == "a4GQ"
    assert _host.first_line(tmp_path / "none") == ""
