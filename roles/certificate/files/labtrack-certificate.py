# Kept by labtrack.mlflow.certificate.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renew the certificate where that is due, put it in place, reload what uses it, and warn before it ends.

usage: labtrack-certificate [--force | --new-key | --new-ca | --sign-ca | --end-ca] [CONFIG]
The lab's CA is replaced in steps: after --new-ca clients get both, and the certificate is from the earlier one; after --sign-ca it is from the new
one; after --end-ca clients get the new one only. What reads the bundle has to know both before the certificate changes.
Exit status: 0 good, 1 something failed, 2 the certificate ends soon and nobody renews it.
"""

from __future__ import annotations

import argparse
import fcntl
import ipaddress
import json
import os
import shlex
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

CONFIG = "/etc/labtrack/certificate/config.json"
LOCK = "/run/labtrack-certificate.lock"
MODES = {"key": 0o640, "chain": 0o644, "ca": 0o644}
DAY = 86400
DEBIAN_WEBROOT = "/var/www/html"


class CertificateError(Exception):
    """One sentence for the journal."""


def run(*command: str, env: dict[str, str] | None = None) -> str:
    """Run a program; its output.

    Raises:
        CertificateError: it failed.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
    if done.returncode:
        raise CertificateError(f"'{' '.join(command[:2])}' failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def expiry(path: Path) -> int:
    """When the first certificate of a file ends, in seconds of the epoch."""
    return ssl.cert_time_to_seconds(run("openssl", "x509", "-noout", "-enddate", "-in", str(path)).strip().split("=", 1)[1])


def days_left(path: Path) -> float:
    """Days until the first certificate of a file ends."""
    return (expiry(path) - time.time()) / DAY


def write(path: Path, content: bytes, mode: int) -> None:
    """Write a neighbour and rename it; the group ssl-cert reads keys."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".labtrack-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())  # a power-off must not leave an empty key
        if mode == MODES["key"]:
            shutil.chown(name, "root", "ssl-cert")
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def make_key(path: Path) -> Path:
    """A key for ECDSA on P-256 under a temporary name."""
    new = path.with_name(f".{path.name}.new")
    write(new, run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256").encode(), 0o600)
    return new


def constraint(name: str) -> str:
    """A permitted name as OpenSSL wants it: networks with a mask."""
    kind, _colon, value = name.partition(":")
    return f"permitted;{kind}:{ipaddress.ip_network(value, strict=False).with_netmask if kind == 'IP' else value}"


class Certificate:
    """The certificate that the configuration describes."""

    def __init__(self, config: dict) -> None:
        self.config = config
        self.source = {name: Path(path) for name, path in config["source"].items()}
        self.target = {name: Path(path) for name, path in config["target"].items()}
        self.pending = self.target["chain"].with_suffix(".pending")

    def renew(self, force: bool) -> None:
        """Ask the provider for a new certificate, if it is time."""
        if self.config["provider"] == "lab_ca" and (force or days_left(self.source["chain"]) < self.config["renew_before_days"]):
            self._issue()
        elif self.config["provider"] == "acme":
            self._certbot(force)

    def new_key(self) -> None:
        """Another key, and a certificate for it; what they replace is not accepted by anybody who asks this server."""
        if self.config["provider"] == "acme":
            self._certbot(force=True)  # makes a key each time
            return
        self._own("a new key is made with the certificate by whoever issues it: provide both.")
        subject = run("openssl", "x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", str(self.source["chain"])).strip().partition("=")[2].strip()
        extensions = {
            "subjectAltName": ("critical," if not subject else "") + ",".join(self.config["lab_ca"]["subject_names"]),
            "basicConstraints": "CA:FALSE",
            "keyUsage": "critical,digitalSignature",
            "extendedKeyUsage": "serverAuth",
        }
        key, request = make_key(self.source["key"]), self._base / "server.csr"
        add = [word for name, value in extensions.items() for word in ("-addext", f"{name}={value}")]
        pem = run("openssl", "req", "-new", "-key", str(key), "-subj", f"/{subject}", *add)
        os.replace(key, self.source["key"])
        write(request, pem.encode(), 0o644)
        self._issue()

    def new_ca(self) -> None:
        """Another CA, for clients only: the first step of two. A CA that waits for the second step already is kept."""
        self._own("its CA is not this lab's.")
        key, pem = self._base / "next-ca.key", self._base / "next-ca.pem"
        if key.exists() and pem.exists():
            return
        os.replace(make_key(key), key)
        names = self.config["lab_ca"]["permitted_names"]
        lines = ["[req]", "distinguished_name = name", "x509_extensions = ca", "prompt = no", "[name]", f"CN = {self.config['lab_ca']['common_name']}", "[ca]"]
        lines += ["basicConstraints = critical,CA:TRUE,pathlen:0", "keyUsage = critical,keyCertSign,cRLSign", "subjectKeyIdentifier = hash"]
        lines += [f"nameConstraints = critical,{','.join(map(constraint, names))}"]
        with tempfile.NamedTemporaryFile("w", suffix=".cnf") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            days = str(self.config["lab_ca"]["ca_validity_days"])
            text = run("openssl", "req", "-x509", "-new", "-sha256", "-key", str(key), "-days", days, "-config", file.name)
        write(pem, text.encode(), 0o644)
        print("made a new lab CA; clients need the new bundle", flush=True)

    def sign_ca(self) -> None:
        """The second step: the new CA signs; clients get both."""
        self._own("its CA is not this lab's.")
        if not (self._base / "next-ca.key").exists():
            raise CertificateError("there is no new lab CA: make one first (--new-ca), and give clients the new bundle.")
        if (self._base / "next-ca.pem").exists() and not self._is_from("next-ca.pem"):
            self._issue("next-ca")

    def end_ca(self) -> None:
        """The last step: clients get the new CA only. An interrupted one goes on."""
        self.sign_ca()
        self.install()
        for new, name in {"next-ca.pem": "ca.pem", "next-ca.key": "ca.key"}.items():
            if (self._base / new).exists():
                os.replace(self._base / new, self._base / name)

    def _is_from(self, authority: str) -> bool:
        command = ["openssl", "verify", "-CAfile", str(self._base / authority), str(self.source["chain"])]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _own(self, reason: str) -> None:
        if self.config["provider"] != "lab_ca":
            raise CertificateError(f"the certificate is {self.config['provider']}: {reason}")

    @property
    def _base(self) -> Path:
        return Path(self.config["lab_ca"]["dir"])

    def _issue(self, authority: str = "ca") -> None:
        """Sign the request that the role left, with the lab's CA."""
        base = self._base
        days = min(self.config["lab_ca"]["validity_days"], int(days_left(base / f"{authority}.pem")))
        if days < 1:
            raise CertificateError("the lab CA has ended: move its ca.pem and ca.key away and run the playbook, then give clients the new ca.pem.")
        sign = ["-CA", str(base / f"{authority}.pem"), "-CAkey", str(base / f"{authority}.key"), "-days", str(days), "-sha256", "-copy_extensions", "copy"]
        pem = run("openssl", "x509", "-req", "-in", str(base / "server.csr"), *sign)
        write(self.source["chain"], pem.encode(), 0o644)
        print(f"issued a certificate for {days} days", flush=True)

    def _certbot(self, force: bool) -> None:
        acme = self.config["acme"]
        challenge, webroot = acme["challenge"], acme["webroot_dir"]
        if challenge == "auto":
            served = next((root for root in (webroot, DEBIAN_WEBROOT) if self._serves(root)), None)
            challenge, webroot = ("webroot", served) if served else ("standalone", "")
        command = ["certbot", "certonly", "--config", acme["config_file"], "--non-interactive", "--cert-name", "labtrack", f"--{challenge}"]
        command += ["--webroot-path", webroot] if challenge == "webroot" else []
        command += ["--renew-with-new-domains", "--no-directory-hooks", "--force-renewal" if force else "--keep-until-expiring"]
        for name in self.config["domains"]:
            command += ["--domain", name]
        run(*command, env={"REQUESTS_CA_BUNDLE": acme["server_ca_file"]} if acme["server_ca_file"] else None)

    def _serves(self, root: str) -> bool:
        """Whether the server on port 80 serves this directory: a freshly installed nginx serves Debian's, the role's proxy ours."""
        probe = Path(root) / ".well-known" / "acme-challenge" / "labtrack-probe"
        request = urllib.request.Request(f"http://127.0.0.1/.well-known/acme-challenge/{probe.name}", headers={"Host": self.config["domains"][0]})
        try:
            if not Path(root).is_dir():
                return False
            probe.parent.mkdir(parents=True, exist_ok=True)
            probe.write_text("labtrack\n", encoding="utf-8")
            return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5).read() == b"labtrack\n"
        except OSError:
            return False
        finally:
            probe.unlink(missing_ok=True)

    def verify(self) -> None:
        """Check that key, chain and CA of the source belong together, before they replace what is in use."""
        public = run("openssl", "x509", "-noout", "-pubkey", "-in", str(self.source["chain"]))
        if public != run("openssl", "pkey", "-pubout", "-in", str(self.source["key"])):
            raise CertificateError(f"{self.source['key']} does not belong to {self.source['chain']}.")
        authority = self.source["ca"]
        further = self._base / "next-ca.pem"
        if self.config["provider"] == "lab_ca" and further.exists() and self._is_from(further.name):
            authority = further
        run("openssl", "verify", "-CAfile", str(authority), "-untrusted", str(self.source["chain"]), str(self.source["chain"]))

    def install(self) -> bool:
        """Put key, chain and CA in place where they differ, and reload their users; also what an earlier run did not reload."""
        contents = {name: path.read_bytes() for name, path in self.source.items()}
        further = self._base / "next-ca.pem"
        if self.config["provider"] == "lab_ca" and further.exists():
            contents["ca"] += further.read_bytes()
        differ = [name for name in MODES if not self.target[name].exists() or self.target[name].read_bytes() != contents[name]]
        if differ:
            self.verify()
            self.pending.touch()
            for name in differ:
                write(self.target[name], contents[name], MODES[name])
            print(f"installed {', '.join(str(self.target[name]) for name in differ)}", flush=True)
        if self.pending.exists():
            self._reload()
            self.pending.unlink()
        return bool(differ)

    def _reload(self) -> None:
        for unit in self.config["reload_units"]:
            if subprocess.run(["systemctl", "is-active", "--quiet", unit], check=False).returncode == 0:
                run("systemctl", "try-reload-or-restart", unit)
                print(f"reloaded {unit}", flush=True)
        for command in self.config["reload_commands"]:
            run(*shlex.split(command))

    def report(self, failed: bool) -> str:
        """Write the metric; return a warning when the certificate in use, or the lab's CA, ends soon."""
        left, what = days_left(self.target["chain"]), self.target["chain"]
        if self.config["provider"] == "lab_ca" and days_left(self.target["ca"]) < left:
            left, what = days_left(self.target["ca"]), self.target["ca"]
        if self.config["metrics_dir"]:
            label = f'{{name="{self.config["domains"][0]}",provider="{self.config["provider"]}"}}'
            text = f"labtrack_certificate_expiry_timestamp_seconds{label} {int(time.time() + left * DAY)}\n"
            text += f"labtrack_certificate_renewal_failed{label} {int(failed)}\n"
            write(Path(self.config["metrics_dir"]) / "labtrack_certificate.prom", text.encode(), 0o644)
        return f"{what} ends in {left:.0f} days" if left < self.config["warn_before_days"] else ""


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="labtrack-certificate", description="Renew, install, reload, warn.")
    step = parser.add_mutually_exclusive_group()
    step.add_argument("--force", action="store_true", help="renew although it is not due")
    step.add_argument("--new-key", action="store_true", help="make another key, and a certificate for it")
    step.add_argument("--new-ca", action="store_true", help="make another lab CA, which clients get beside the one that signs")
    step.add_argument("--sign-ca", action="store_true", help="let the new lab CA sign")
    step.add_argument("--end-ca", action="store_true", help="let the earlier lab CA go")
    parser.add_argument("config", nargs="?", default=CONFIG)
    options = parser.parse_args()
    certificate = Certificate(json.loads(Path(options.config).read_text(encoding="utf-8")))
    errors = []
    with open(LOCK, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        chosen = {"new_key": certificate.new_key, "new_ca": certificate.new_ca, "sign_ca": certificate.sign_ca, "end_ca": certificate.end_ca}
        first = next((step for name, step in chosen.items() if getattr(options, name)), lambda: certificate.renew(options.force))
        for action in (first, certificate.install):
            try:
                action()
            except (CertificateError, OSError) as error:
                errors.append(str(error))
    warning = certificate.report(bool(errors)) if certificate.target["chain"].exists() else ""
    for text in [*errors, *filter(None, [warning])]:
        print(f"<3>labtrack-certificate: {text}" if os.environ.get("JOURNAL_STREAM") else text, file=sys.stderr)
    return 1 if errors else 2 if warning else 0


if __name__ == "__main__":
    sys.exit(main())
