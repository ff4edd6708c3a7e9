# SPDX-License-Identifier: GPL-3.0-or-later
"""What the preflight says about sites that nginx could not serve."""

from __future__ import annotations

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _proxy_sites


def site(**changes):
    good = {
        "name": "main",
        "server_names": ["mlflow.example.org"],
        "upstream": "unix:/run/labtrack-mlflow-main/asgi.sock",
        "certificate_file": "/etc/labtrack/tls/fullchain.pem",
        "key_file": "/etc/labtrack/tls/privkey.pem",
    }
    return {**good, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "lab-2"},
        {"server_names": ["mlflow", "MLflow.Example.org", "192.0.2.7", "2001:db8::7", "xn--bcher-kva.example"]},
        {"upstream": "127.0.0.1:5000"},
        {"upstream": "[::1]:5000", "api_upstream": "localhost:5001"},
        {"static_dir": "", "ca_file": "/etc/ssl/certs/ca.pem"},
    ],
)
def test_good_sites_have_no_problems(changes):
    assert _proxy_sites.problems([site(**changes)]) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("https://mlflow.example.org", "it has a scheme; the name alone is 'mlflow.example.org'"),
        ("https://mlflow.example.org:8443/x", "the name alone is 'mlflow.example.org'"),
        ("mlflow.example.org:443", "it has a port"),
        ("mlflow.example.org/mlflow", "it has a path"),
        ("", "it is empty"),
        ("ml flow", "it is not a host name"),
        ("-mlflow.example.org", "it is not a host name"),
        ("mlflow_lab.example.org", "it is not a host name"),
        ("a" * 64 + ".example.org", "it is not a host name"),
        ("*.example.org", "it is not a host name"),
        ("x;}server{", "it is not a host name"),
        ("mlflow.example.org\n", "it is not a host name"),
        ("192.0.2.300", "it is not an address"),
    ],
)
def test_bad_names_are_explained(name, said):
    (problem,) = _proxy_sites.problems([site(server_names=[name])])
    assert said in problem
    assert problem.startswith("reverse_proxy_sites['main'].server_names (usually from site_fqdn or site_alternative_names) is ")
    assert "Accepted: " in problem and "nothing was changed" in problem


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("name", "Main Site", "a lower-case letter"),
        ("upstream", "http://127.0.0.1:5000", "it has a scheme, 'http'"),
        ("upstream", "ftp://x", "it has a scheme, 'ftp'"),
        ("upstream", "127.0.0.1", "nginx cannot connect to that"),
        ("upstream", "127.0.0.1:70000", "there is no port 70000"),
        ("api_upstream", "unix:relative.sock", "nginx cannot connect to that"),
        ("certificate_file", "chain.pem", "an absolute path"),
        ("key_file", "/etc/a key", "an absolute path"),
        ("static_dir", "/srv/x;", "an absolute path"),
        ("server_names", [], "a site needs a name"),
    ],
)
def test_bad_values_are_explained(key, value, said):
    (problem,) = _proxy_sites.problems([site(**{key: value})])
    assert said in problem


def test_no_site_at_all():
    (problem,) = _proxy_sites.problems([])
    assert "there is nothing to serve" in problem


def test_what_is_there_twice():
    found = _proxy_sites.problems([site(), site()])
    assert len(found) == 2
    assert "is 'main': it is there twice" in found[0]
    assert "is 'mlflow.example.org': it is there twice" in found[1]
    assert _proxy_sites.problems([site(server_names=["a.example", "a.example"])]) == []
