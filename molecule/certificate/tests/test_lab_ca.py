# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's own CA: what its certificates are good for, and how they are renewed."""

from __future__ import annotations

import json

import pytest

TLS = "/etc/labtrack/tls"
STATE = "/var/lib/labtrack/certificate"
NAME = "mlflow.certificate.test"
SHOWN = f"openssl s_client -connect 127.0.0.1:443 -servername {NAME} </dev/null 2>/dev/null"
STRICT = (
    "import socket, ssl; c = ssl.create_default_context(cafile='/etc/labtrack/tls/ca.pem'); c.verify_flags |= ssl.VERIFY_X509_STRICT; "
    f"print(c.wrap_socket(socket.create_connection(('127.0.0.1', 443)), server_hostname='{NAME}').version())"
)
CLIENT = f"""
import json, pathlib, ssl, sys, urllib.request
context = ssl.create_default_context(cafile='{TLS}/ca.pem')
results = []
while not pathlib.Path('/root/stop').exists() or len(results) < 50:
    try:
        results.append(urllib.request.urlopen('https://localhost/', context=context, timeout=10).status)
    except OSError as error:
        results.append(str(error))
print(json.dumps(results))
"""


@pytest.fixture(scope="module", autouse=True)
def nginx(host):
    """A web server that uses the certificate."""
    host.check_output("ln -sf /etc/nginx/site.conf /etc/nginx/conf.d/site.conf")
    host.check_output("systemctl restart nginx")


def days_left(host, path: str = f"{TLS}/fullchain.pem") -> int:
    """Days until a certificate ends."""
    date = host.check_output(f"openssl x509 -noout -enddate -in {path}").split("=", 1)[1]
    return int(host.check_output(f"echo $(( ($(date -d '{date}' +%s) - $(date +%s)) / 86400 ))"))


def sign(host, days: int) -> None:
    """Let the CA issue a certificate for some days."""
    options = f"-CA {STATE}/ca.pem -CAkey {STATE}/ca.key -days {days} -copy_extensions copy"
    host.check_output(f"openssl x509 -req -in {STATE}/server.csr {options} -out {STATE}/server.pem")


def issue_for(host, days: int) -> str:
    """Put a short-lived certificate of the CA in place, as if time had passed; return its serial number."""
    sign(host, days)
    host.check_output(f"cp {STATE}/server.pem {TLS}/fullchain.pem")
    host.check_output("systemctl reload nginx")
    assert is_shown(host), "nginx does not show the new certificate"
    return serial(host)


def serial(host) -> str:
    """Serial number of the certificate that nginx shows to a new connection."""
    return host.check_output(f"{SHOWN} | openssl x509 -noout -serial")


def is_shown(host) -> bool:
    """Whether nginx shows the certificate of the file; it takes a moment after a reload, which returns at once."""
    same = f'[ "$({SHOWN} | openssl x509 -noout -serial)" = "$(openssl x509 -noout -serial -in {TLS}/fullchain.pem)" ]'
    return host.run(f"timeout 10 bash -c 'until {same}; do :; done'").rc == 0


@pytest.mark.parametrize("name", [NAME, "localhost", "127.0.0.1"])
def test_clients_with_the_ca_trust_the_server(host, name):
    resolve = f"--resolve {NAME}:443:127.0.0.1"
    assert host.check_output(f"curl -sS --cacert {TLS}/ca.pem {resolve} https://{name}/") == "served"


def test_a_strict_client_trusts_it(host):
    assert host.check_output(f'python3 -c "{STRICT}"').startswith("TLSv1")


def test_without_the_ca_it_is_refused(host):
    assert host.run("curl -sS https://localhost/").rc == 60


def test_the_ca_cannot_vouch_for_other_names(host):
    host.check_output(
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /tmp/x.key -out /tmp/x.csr -subj /CN=x "
        "-addext subjectAltName=DNS:www.example.org"
    )
    host.check_output(f"openssl x509 -req -in /tmp/x.csr -CA {STATE}/ca.pem -CAkey {STATE}/ca.key -copy_extensions copy -days 9 -out /tmp/x.pem")
    assert "permitted subtree violation" in host.run(f"openssl verify -CAfile {STATE}/ca.pem /tmp/x.pem 2>&1").stdout


def test_only_root_reaches_the_keys(host):
    key = host.file(f"{TLS}/privkey.pem")
    assert (key.user, key.group, key.mode) == ("root", "ssl-cert", 0o640)
    assert host.file(STATE).mode == 0o700
    assert host.run(f"setpriv --reuid=nobody --clear-groups cat {TLS}/privkey.pem").rc != 0


def test_the_certificate_lives_no_longer_than_browsers_accept(host):
    assert 390 <= days_left(host) <= 397
    assert days_left(host, f"{TLS}/ca.pem") > 3640


def test_a_certificate_near_its_end_is_renewed_without_a_lost_request(host):
    before = issue_for(host, 2)
    assert days_left(host) < 3
    host.check_output("rm -f /root/stop /root/results")
    host.check_output(f"cat > /root/client.py <<'EOF'\n{CLIENT}\nEOF")
    host.check_output("systemd-run --quiet --unit lt-client --property=StandardOutput=file:/root/results python3 /root/client.py")
    host.check_output("systemctl start labtrack-certificate.service")
    host.check_output("touch /root/stop")
    host.run("timeout 30 bash -c 'while systemctl is-active --quiet lt-client; do :; done'")
    results = json.loads(host.file("/root/results").content_string)
    assert len(results) >= 50
    assert set(results) == {200}
    assert days_left(host) >= 390
    assert is_shown(host)
    assert serial(host) != before


def test_the_timer_runs_every_day(host):
    assert host.service("labtrack-certificate.timer").is_enabled
    assert host.service("labtrack-certificate.timer").is_running


def test_files_that_were_lost_come_back_from_the_state_directory(host):
    host.check_output(f"rm {TLS}/fullchain.pem {TLS}/privkey.pem {TLS}/ca.pem")
    host.check_output("systemctl start labtrack-certificate.service")
    host.check_output(f"cmp {TLS}/privkey.pem {STATE}/server.key")


def test_a_reload_that_did_not_happen_is_caught_up(host):
    before = issue_for(host, 200)
    sign(host, 300)
    host.check_output(f"cp {STATE}/server.pem {TLS}/fullchain.pem && touch {TLS}/fullchain.pending")
    assert serial(host) == before
    assert "reloaded nginx.service" in host.check_output("labtrack-certificate")
    assert is_shown(host)


def change(host, **changes) -> str:
    """Write a copy of the configuration with changes; return its path."""
    config = json.loads(host.file("/etc/labtrack/certificate/config.json").content_string)
    config.update(changes)
    host.check_output(f"cat > /root/config.json <<'EOF'\n{json.dumps(config)}\nEOF")
    return "/root/config.json"


def test_the_end_is_announced_when_nobody_renews(host):
    issue_for(host, 5)
    result = host.run(f"labtrack-certificate {change(host, provider='provided', metrics_dir='/root')}")
    assert result.rc == 2
    assert f"{TLS}/fullchain.pem ends in 5 days" in result.stderr
    metric = host.file("/root/labtrack_certificate.prom").content_string
    assert f'labtrack_certificate_expiry_timestamp_seconds{{name="{NAME}",provider="provided"}} ' in metric


def test_the_warning_makes_the_unit_fail(host):
    issue_for(host, 5)
    path = change(host, provider="provided")
    host.check_output("mkdir -p /run/systemd/system/labtrack-certificate.service.d")
    override = f"[Service]\\nProtectHome=no\\nExecStart=\\nExecStart=/usr/local/sbin/labtrack-certificate {path}\\n"
    host.check_output(f"printf '{override}' > /run/systemd/system/labtrack-certificate.service.d/test.conf && systemctl daemon-reload")
    try:
        assert host.run("systemctl start labtrack-certificate.service").rc != 0
        assert host.service("labtrack-certificate.service").is_running is False
        assert "ends in 5 days" in host.check_output("journalctl -u labtrack-certificate -p err --no-pager")
    finally:
        host.check_output("rm -r /run/systemd/system/labtrack-certificate.service.d && systemctl daemon-reload")
        host.check_output("systemctl reset-failed && systemctl start labtrack-certificate.service")


def test_a_key_of_another_certificate_is_not_put_in_place(host):
    host.check_output("openssl ecparam -name prime256v1 -genkey -noout -out /root/other.key")
    source = {"chain": f"{STATE}/server.pem", "key": "/root/other.key", "ca": f"{STATE}/ca.pem"}
    result = host.run(f"labtrack-certificate {change(host, source=source)}")
    assert result.rc == 1
    assert "does not belong to" in result.stderr
    host.check_output(f"cmp {TLS}/privkey.pem {STATE}/server.key")
