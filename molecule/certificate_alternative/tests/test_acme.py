# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate from a real ACME server (Debian's pebble), at other paths, renewed while a web server holds port 80."""

from __future__ import annotations

import json

testinfra_hosts = ["docker://lt-certificate-alternative"]

CHAIN = "/etc/lab/web/chain.pem"
CONFIG = "/etc/lab/certificate/config.json"
SECRET = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def test_the_certificate_has_the_names_but_no_address(host):
    names = host.check_output(f"openssl x509 -noout -ext subjectAltName -in {CHAIN}")
    assert "DNS:mlflow.acme.test, DNS:www.acme.test" in names
    assert "192.0.2.10" not in names


def test_clients_trust_the_chain_by_the_root(host):
    host.check_output(f"openssl verify -CAfile /etc/lab/web/roots.pem -untrusted {CHAIN} {CHAIN}")


def test_the_key_belongs_to_it_and_is_for_the_group_only(host):
    key = host.file("/etc/lab/web/key.pem")
    assert (key.user, key.group, key.mode) == ("root", "ssl-cert", 0o640)
    assert host.check_output("openssl pkey -pubout -in /etc/lab/web/key.pem") == host.check_output(f"openssl x509 -noout -pubkey -in {CHAIN}")


def test_what_uses_it_was_told(host):
    assert host.file("/root/certificate was renewed").exists


def test_the_unit_does_nothing_when_it_is_too_early(host):
    before = host.file(CHAIN).content_string
    host.check_output("systemctl start labtrack-certificate.service")
    assert host.file(CHAIN).content_string == before


def test_it_is_renewed_through_the_web_server_on_port_80(host):
    before = host.check_output(f"openssl x509 -noout -serial -in {CHAIN}")
    host.check_output("rm -f '/root/certificate was renewed'")
    host.check_output("systemd-run --quiet --unit lt-web python3 -m http.server 80 --directory /srv/acme")
    host.check_output("timeout 10 bash -c 'until ss -Hltn sport = :80 | grep -q LISTEN; do :; done'")
    try:
        host.check_output(f"labtrack-certificate --force {CONFIG}")
        log = host.check_output("journalctl -u lt-web --no-pager")
    finally:
        host.run("systemctl stop lt-web")
    assert "/.well-known/acme-challenge/" in log
    assert host.check_output(f"openssl x509 -noout -serial -in {CHAIN}") != before
    assert host.file("/root/certificate was renewed").exists


def test_a_certificate_that_certbots_own_timer_renewed_is_put_in_place(host):
    trust = "REQUESTS_CA_BUNDLE=/etc/pebble-test/cert.pem"
    host.check_output(f"{trust} certbot renew --quiet --force-renewal --cert-name labtrack --no-random-sleep-on-renew --standalone")
    host.check_output(f"timeout 30 bash -c 'until cmp -s {CHAIN} /etc/letsencrypt/live/labtrack/fullchain.pem; do :; done'")


def test_a_failure_is_seen(host):
    config = json.loads(host.file(CONFIG).content_string)
    config["acme"]["server_ca_file"] = "/etc/ssl/certs/ca-certificates.crt"  # does not know the server
    host.check_output(f"cat > /root/config.json <<'EOF'\n{json.dumps(config)}\nEOF")
    result = host.run("labtrack-certificate --force /root/config.json")
    assert result.rc == 1
    assert "'certbot certonly' failed" in result.stderr
    assert 'labtrack_certificate_renewal_failed{name="mlflow.acme.test",provider="acme"} 1' in host.file("/srv/labtrack_certificate.prom").content_string


def test_the_account_secret_is_for_root_and_in_no_log(host):
    assert host.file("/etc/lab/certificate/certbot.ini").mode == 0o600
    assert SECRET not in host.run("grep -rs . /var/log/letsencrypt /etc/letsencrypt/renewal").stdout
    assert SECRET not in host.check_output("journalctl --no-pager")
