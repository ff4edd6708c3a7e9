# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""labtrack-doctor: says in plain words why this computer cannot use the MLflow server, and what to do about it.

It reads the same settings as MLflow, in the same order, and then goes the same way to the server: name, connection, certificate, login,
artifacts. It needs Python 3.8 and nothing else; with --write it also logs a run through the mlflow package. It prints no password.

exit status:
  0  everything works (there may be warnings)
  1  a setting on this computer is wrong: address, variables, credentials file, CA file
  2  wrong options
  3  the server cannot be reached: name, network, firewall, proxy
  4  the TLS connection is not trusted: certificate, CA, clock
  5  the login is refused: no password, wrong password, blocked address
  6  something answers, but not as an MLflow server should
  7  the round trip failed: runs or artifacts cannot be written or read back
"""

from __future__ import annotations

import argparse
import base64
import configparser
import contextlib
import email.utils
import http.client
import importlib.metadata
import importlib.util
import json
import netrc
import os
import re
import shlex
import socket
import ssl
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from typing import Any, NamedTuple

SETTINGS, NETWORK, TLS, LOGIN, SERVER, ROUND_TRIP = 1, 3, 4, 5, 6, 7
CREDENTIALS_FILE = os.path.join("~", ".mlflow", "credentials")  # MLflow has no variable for another place
CLOCK_SKEW_SECONDS = 300
EXPIRY_WARNING_DAYS = 14
LOOPBACK = ("localhost", "127.0.0.1", "::1")
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
BUNDLE = os.path.dirname(os.path.realpath(__file__))


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    def json(self) -> Any:
        """The body, or None when it is not JSON."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


class CheckError(Exception):
    """A check failed; those that come after it make no sense.

    Args:
        code: exit status.
        message: what is wrong.
        action: what to do.
    """

    def __init__(self, code: int, message: str, action: str) -> None:
        super().__init__(message)
        self.code, self.message, self.action = code, message, action


class Report:
    """The findings; every text passes `hide` before it is kept."""

    def __init__(self) -> None:
        self.checks: list[dict[str, str]] = []
        self.secrets: list[str] = []
        self.code = 0

    def keep_secret(self, *values: str | None) -> None:
        """Never print these."""
        self.secrets += sorted((value for value in values if value and len(value) > 3), key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text without secrets."""
        for secret in self.secrets:
            text = text.replace(secret, "(hidden)")
        return re.sub(r"//[^/@\s]+@", "//(hidden)@", text)

    def add(self, check: str, status: str, message: str, action: str = "", code: int = 0) -> None:
        """Keep a finding: `ok`, `warning` or `failed`."""
        self.checks.append({"check": check, "status": status, "message": self.hide(message), "action": self.hide(action)})
        self.code = self.code or code

    def text(self) -> str:
        """The findings for people."""
        lines = []
        for entry in self.checks:
            lines.append(f"{entry['status']:<8} {entry['check']:<12} {entry['message']}")
            lines += [f"{'':<21} -> {line}" for line in entry["action"].splitlines()]
        failed = sum(entry["status"] == "failed" for entry in self.checks)
        warned = sum(entry["status"] == "warning" for entry in self.checks)
        lines.append(f"{failed} failed, {warned} {'warning' if warned == 1 else 'warnings'}: " + ("does not work." if failed else "works."))
        return "\n".join(lines)


def bundle_uri(bundle: str = BUNDLE) -> str:
    """The address that the bundle beside this script was written for; empty when there is no bundle."""
    try:
        with open(os.path.join(bundle, "mlflow_env.sh"), encoding="utf-8") as handle:
            found = re.search(r"^export MLFLOW_TRACKING_URI=(.+)$", handle.read(), re.MULTILINE)
    except OSError:
        return ""
    return "".join(shlex.split(found.group(1))) if found else ""


def judge_uri(given: str, bundle: str = "") -> urllib.parse.SplitResult:
    """Check the tracking address as far as that needs no network.

    Args:
        given: value of MLFLOW_TRACKING_URI.
        bundle: address of the bundle, for the advice.

    Raises:
        CheckError: it is not the address of an MLflow server.
    """

    def refuse(message: str, better: str = "") -> CheckError:
        advice = f"export MLFLOW_TRACKING_URI={shlex.quote(better or bundle or 'https://<server>')}"
        return CheckError(SETTINGS, f"MLFLOW_TRACKING_URI {message}", advice)

    if not given:
        advice = f"source {shlex.quote(os.path.join(BUNDLE, 'mlflow_env.sh'))}" if bundle else "source the mlflow_env.sh of your bundle"
        raise CheckError(SETTINGS, "MLFLOW_TRACKING_URI is not set: MLflow would write to a file on this computer.", advice)
    text = given.strip().strip("'\"").strip()
    if text != given:
        raise refuse(f"is {given!r}: there are quotes or blanks around it (docker --env-file keeps quotes; Windows editors add \\r).", text)
    if re.match(r"(file|sqlite|postgresql|mysql|mssql)[:+]", text) or text.startswith(("/", "./", "../", "~")) or re.match(r"[A-Za-z]:[\\/]", text):
        raise refuse(f"is '{text}': that names a file or database of this computer, not the server.")
    if re.match(r"https?:/?[^/]", text):
        raise refuse(f"is '{text}': two slashes must follow the scheme.", re.sub(r"^(https?):/?", r"\1://", text))
    if "://" not in text:
        if re.fullmatch(r"[\w.-]+\.[\w.-]+(:\d+)?(/.*)?|localhost(:\d+)?(/.*)?|[\w-]+:\d+(/.*)?|\[[0-9a-fA-F:]+\](:\d+)?/?", text):
            raise refuse(f"is '{text}': the scheme is missing, so MLflow takes it for a directory on this computer.", f"https://{text}")
        raise refuse(f"is '{text}': that names a directory on this computer, not the server.")
    try:
        uri = urllib.parse.urlsplit(text)
        host, port = uri.hostname, uri.port
    except ValueError as error:
        raise refuse(f"is '{text}': {error}.") from error
    if uri.scheme not in ("http", "https"):
        raise refuse(f"is '{text}': the scheme '{uri.scheme}' is not one of a tracking server.", f"https://{uri.netloc}")
    if not host:
        raise refuse(f"is '{text}': the name of the server is missing.")
    place = f"[{host}]" if ":" in host else host
    base = f"{place}:{port}" if port else place
    if uri.username is not None:
        raise refuse("holds a user name or password; addresses end up in logs and notebooks.", f"{uri.scheme}://{base}")
    if uri.path not in ("", "/") or uri.query or uri.fragment:
        raise refuse(f"is '{text}': the part after the server's name belongs to a page in the browser.", f"{uri.scheme}://{base}")
    if uri.scheme == "http" and host not in LOOPBACK:
        raise refuse(f"is '{text}': http sends the password readable over the network.", f"https://{host if port in (None, 80, 5000) else base}")
    return uri


class Login(NamedTuple):
    """User name, password, and where they came from."""

    username: str
    password: str
    source: str


def file_login(report: Report, path: str) -> tuple[str, str]:
    """User name and password of MLflow's credentials file; empty strings where it has none."""
    if not os.path.exists(path):
        return "", ""
    parser = configparser.ConfigParser()
    try:
        parser.read(path)
        found = parser.get("mlflow", "mlflow_tracking_username", fallback=""), parser.get("mlflow", "mlflow_tracking_password", fallback="")
    except configparser.InterpolationError as error:
        raise CheckError(SETTINGS, f"{path}: a '%' in the password must be written '%%'; MLflow stops otherwise.", "double each '%' in the file") from error
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise CheckError(SETTINGS, f"{path} cannot be read ({type(error).__name__}).", "copy the file of your bundle again, mode 0600") from error
    report.keep_secret(found[1])
    if not all(found):
        advice = "it needs the lines [mlflow], mlflow_tracking_username = …, mlflow_tracking_password = …"
        report.add("credentials", "warning", f"{path} does not give both a user name and a password: MLflow does not log in with it.", advice)
    if os.name == "posix":
        status = os.stat(path)
        if status.st_mode & 0o077:
            message = f"{path} can be read by others (mode {status.st_mode & 0o777:04o})."
            report.add("credentials", "warning", message, f"chmod 600 {shlex.quote(path)}")
    return found


def netrc_login(report: Report, host: str) -> Login | None:
    """What the requests library takes from ~/.netrc; it wins over every MLflow setting."""
    places = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for place in map(os.path.expanduser, places):
        if os.path.exists(place):
            try:
                found = netrc.netrc(place).authenticators(host)
            except (netrc.NetrcParseError, OSError):
                return None  # requests ignores such a file, too
            if found:
                report.keep_secret(found[2])
                return Login(found[0] or found[1] or "", found[2] or "", place)
            return None
    return None


def find_login(report: Report, host: str) -> Login | None:
    """The login that MLflow will use, or None."""
    environment = os.environ.get("MLFLOW_TRACKING_USERNAME", ""), os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    report.keep_secret(environment[1], os.environ.get("MLFLOW_TRACKING_TOKEN"))
    path = os.path.expanduser(CREDENTIALS_FILE)
    stored = file_login(report, path)
    username, password = environment[0] or stored[0], environment[1] or stored[1]
    login = None
    if username and password:
        sources = ["the environment" if environment[index] else path for index in (0, 1)]
        login = Login(username, password, sources[0])
        if sources[0] != sources[1]:
            message = f"the user name '{username}' comes from {sources[0]}, the password from {sources[1]}: they may not belong together."
            report.add("credentials", "warning", message, "set both MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or neither")
    elif username or password:
        missing = "MLFLOW_TRACKING_PASSWORD" if username else "MLFLOW_TRACKING_USERNAME"
        raise CheckError(SETTINGS, f"{missing} is missing: with one of the two MLflow does not log in at all.", f"set it, or write both to {path}")
    override = netrc_login(report, host)
    if override and (login is None or override[:2] != login[:2]):
        if login:
            message = f"{override.source} has an entry for '{host}' (user '{override.username}'): it wins over {login.source} (user '{login.username}')."
            report.add("credentials", "warning", message, f"remove the entry for '{host}' (or 'default') from {override.source}, or make it the same")
        login = override
    if login and not (login.username + login.password).isascii():
        message = "the user name or password holds letters outside ASCII: MLflow then refuses artifacts (401)."
        report.add("credentials", "warning", message, "ask the admin for a login of plain letters, digits and signs")
    return login


def check_environment() -> None:
    """Variables that contradict each other."""
    insecure = os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1")
    if insecure and os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH"):
        message = "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH are both set: MLflow refuses to start."
        raise CheckError(SETTINGS, message, "unset MLFLOW_TRACKING_INSECURE_TLS")
    if insecure:
        message = "MLFLOW_TRACKING_INSECURE_TLS is set: anybody between you and the server can read your password."
        raise CheckError(SETTINGS, message, "unset MLFLOW_TRACKING_INSECURE_TLS, and use the CA file of your bundle")


def find_ca() -> tuple[str, str]:
    """The CA file that MLflow will use and the variable it comes from; empty for the public CAs."""
    for name in ("MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.environ.get(name):
            return os.environ[name], name
    return "", ""


def tls_context(path: str, source: str) -> ssl.SSLContext:
    """Trust what MLflow trusts: one file, or certifi's public CAs.

    Raises:
        CheckError: the CA file is missing or holds no certificate.
    """
    advice = f"give the path of your bundle's ca.pem: export {source}={shlex.quote(os.path.join(BUNDLE, 'ca.pem'))}"
    if path and not os.path.exists(path):
        raise CheckError(SETTINGS, f"{source} is '{path}': there is no such file.", advice)
    try:
        if path:
            return ssl.create_default_context(**{"capath" if os.path.isdir(path) else "cafile": path})
        if importlib.util.find_spec("certifi"):
            return ssl.create_default_context(cafile=importlib.import_module("certifi").where())
    except PermissionError as error:
        raise CheckError(SETTINGS, f"{source} is '{path}': you may not read it.", f"chmod a+r {shlex.quote(path)}, or copy it to a place of yours") from error
    except (ssl.SSLError, OSError) as error:
        raise CheckError(SETTINGS, f"{source} is '{path}': that is no certificate in PEM form.", advice) from error
    return ssl.create_default_context()


class Server:
    """The way to the server, the same that MLflow takes.

    Args:
        uri: tracking address.
        timeout: seconds for each step.
    """

    def __init__(self, uri: urllib.parse.SplitResult, timeout: float) -> None:
        self.host, self.tls, self.timeout = uri.hostname or "", uri.scheme == "https", timeout
        self.port = uri.port or (443 if self.tls else 80)
        self.context: ssl.SSLContext | None = None
        self.proxy = self._proxy(f"{uri.scheme}://{uri.netloc}")
        self.login: Login | None = None

    def _proxy(self, url: str) -> urllib.parse.SplitResult | None:
        if importlib.util.find_spec("requests"):  # its rules for NO_PROXY know networks as well
            chosen = importlib.import_module("requests.utils").get_environ_proxies(url)
        else:
            chosen = {} if urllib.request.proxy_bypass(self.host) else urllib.request.getproxies()
        proxy = chosen.get(url.split(":")[0]) or chosen.get("all")
        return urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}") if proxy else None

    def connection(self, context: ssl.SSLContext | None) -> http.client.HTTPConnection:
        """A connection that is not open yet."""
        if not self.tls:
            return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        if not self.proxy:
            return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=context)
        through = http.client.HTTPSConnection(self.proxy.hostname or "", self.proxy.port or 80, timeout=self.timeout, context=context)
        headers = {}
        if self.proxy.username:
            pair = f"{urllib.parse.unquote(self.proxy.username)}:{urllib.parse.unquote(self.proxy.password or '')}"
            headers["Proxy-Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        through.set_tunnel(self.host, self.port, headers=headers)
        return through

    def get(self, path: str, login: bool = False, context: ssl.SSLContext | None = None) -> Answer:
        """One GET; the login is sent only when asked for."""
        headers = {"User-Agent": "labtrack-doctor", "Accept": "*/*"}
        if login and self.login:
            pair = f"{self.login.username}:{self.login.password}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        connection = self.connection(context or self.context)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read(1_000_000).decode(errors="replace"))


def name_problem(host: str, error: OSError, bundle: str) -> CheckError:
    """The name is unknown."""
    if error.errno == socket.EAI_AGAIN:
        message = f"no name server answers, so '{host}' cannot be looked up: this computer has no network, or it is a compute node without one."
        return CheckError(NETWORK, message, "try on a login node; ask how jobs reach the outside (often a proxy: HTTPS_PROXY)")
    advice = f"the bundle says '{bundle}'" if bundle and urllib.parse.urlsplit(bundle).hostname != host else "check the spelling; is a VPN needed?"
    return CheckError(NETWORK, f"there is no computer with the name '{host}'.", advice)


def connect_problem(server: Server, error: OSError) -> CheckError:
    """Nothing answers at the address."""
    place = f"{server.host} port {server.port}"
    if isinstance(error, ConnectionRefusedError):
        advice = "if others can work: wrong port, or your address is blocked for some minutes after many wrong passwords; wait 15 minutes\nelse: tell the admin"
        return CheckError(NETWORK, f"{place} refuses the connection.", advice)
    if isinstance(error, (socket.timeout, TimeoutError)):
        advice = "connect to the lab's network or VPN; on a cluster ask whether a proxy is needed (HTTPS_PROXY), or try a login node"
        return CheckError(NETWORK, f"{place} does not answer within {server.timeout:g} s: a firewall is in the way, or the server is off.", advice)
    return CheckError(NETWORK, f"{place} cannot be reached: {error.strerror or error}.", "check the network connection of this computer")


def check_route(report: Report, server: Server, bundle: str) -> None:
    """Look the name up and connect, or say that a proxy does that."""
    if server.proxy:
        message = f"requests go through the proxy {server.proxy.hostname}:{server.proxy.port or 80} (HTTPS_PROXY or ALL_PROXY)."
        report.add("proxy", "warning", message, f"if the server is in your own network: export NO_PROXY={server.host}")
        return
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise name_problem(server.host, error, bundle) from error
    try:
        with socket.create_connection((server.host, server.port), server.timeout) as link:
            report.add("network", "ok", f"{server.host} port {server.port} answers ({link.getpeername()[0]}).")
    except OSError as error:
        problem = connect_problem(server, error)
        problem.message += f" (address {found[0][4][0]})"
        raise problem from error


def clock_advice(server: Server) -> str:
    """Compare with the server's clock over a connection that is not trusted; no login is sent."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        skew = clock_skew(server.get("/health", context=context))
    except (OSError, http.client.HTTPException):
        return ""
    return skew_text(skew) if abs(skew) > CLOCK_SKEW_SECONDS else ""


def clock_skew(answer: Answer) -> float:
    """Seconds that this computer is ahead of the server; 0 when the answer has no date."""
    try:
        return time.time() - email.utils.parsedate_to_datetime(answer.headers.get("Date", "")).timestamp()
    except (TypeError, ValueError, IndexError):
        return 0.0


def skew_text(skew: float) -> str:
    """The difference in words."""
    seconds = abs(skew)
    size = f"{seconds / 86400:.0f} days" if seconds > 2 * 86400 else f"{seconds / 60:.0f} minutes"
    return f"the clock of this computer is {size} {'ahead of' if skew > 0 else 'behind'} the server's."


def certificate_problem(server: Server, error: ssl.SSLCertVerificationError, ca: tuple[str, str]) -> CheckError:
    """The certificate is refused: for its dates, its names, or who signed it."""
    reason, reissue = error.verify_message.rstrip("."), "tell the admin: the server's certificate must be renewed"
    if error.verify_code in (9, 10):
        state = "has expired" if error.verify_code == 10 else "is not valid yet"
        clock = clock_advice(server)
        if clock:
            return CheckError(TLS, f"the server's certificate {state}, as seen from here: {clock}", "set the clock (timedatectl set-ntp true)")
        return CheckError(TLS, f"the server's certificate {state}.", reissue)
    if error.verify_code in (62, 63, 64) or "mismatch" in reason.lower():
        advice = f"use the name that is in the bundle{': ' + bundle_uri() if bundle_uri() else ''}; a certificate for a name does not fit an address"
        return CheckError(TLS, f"the certificate belongs to another name than '{server.host}' ({reason}).", advice)
    own = os.path.join(BUNDLE, "ca.pem")
    advice = f"export MLFLOW_TRACKING_SERVER_CERT_PATH={shlex.quote(own)}" if os.path.exists(own) else "get the CA file (ca.pem) of the lab's bundle"
    if not ca[0]:
        message = f"the server's certificate is signed by a CA that MLflow does not know here ({reason}); MLflow does not use the system's CAs."
        return CheckError(TLS, message, advice)
    if ca[0] == own:
        advice = "the server has a new CA: get a new bundle\nif others can work: something between here and the server opens TLS connections"
    if ca[1] != "MLFLOW_TRACKING_SERVER_CERT_PATH":
        advice += f"\n{ca[1]} replaces the public CAs for every program that uses the requests library"
    return CheckError(TLS, f"the server's certificate is not signed by the CA in '{ca[0]}' ({ca[1]}; {reason}).", advice)


def tls_problem(server: Server, error: ssl.SSLError) -> CheckError:
    """No TLS connection, for another reason than the certificate."""
    text = f"{error.reason or error}"
    if any(word in text for word in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG")):
        message = f"port {server.port} of {server.host} does not speak TLS: that is no https address."
        return CheckError(TLS, message, f"use the bundle's address{': ' + bundle_uri() if bundle_uri() else ''}, usually without a port")
    return CheckError(TLS, f"no TLS connection to {server.host}: {text}.", "something old or something in between; tell the admin this line")


def first_contact(report: Report, server: Server, ca: tuple[str, str]) -> Answer:
    """TLS handshake and the health page, which needs no login."""
    try:
        answer = server.get("/health")
    except ssl.SSLCertVerificationError as error:
        raise certificate_problem(server, error, ca) from error
    except ssl.SSLError as error:
        raise tls_problem(server, error) from error
    except (OSError, http.client.HTTPException) as error:
        if server.proxy:
            message = f"the proxy {server.proxy.hostname}:{server.proxy.port or 80} does not lead to the server: {error}."
            advice = f"if the server is in your own network: export NO_PROXY={server.host}\nelse ask who runs the proxy"
            raise CheckError(NETWORK, message, advice) from error
        message = f"{server.host} port {server.port} breaks the connection off: {str(error) or type(error).__name__}."
        raise CheckError(NETWORK, message, "is this the address of the bundle? else something in between interferes; tell the admin this line") from error
    if server.tls:
        report.add("certificate", "ok", f"trusted through {ca[0] if ca[0] else 'the public CAs'}.")
        expiry_warning(report, server)
    return answer


def expiry_warning(report: Report, server: Server) -> None:
    """Warn while there is time to renew."""
    connection = server.connection(server.context)
    try:
        with contextlib.closing(connection):
            connection.connect()
            peer = connection.sock.getpeercert() or {}  # a TLS socket
        days = (ssl.cert_time_to_seconds(peer["notAfter"]) - time.time()) / 86400
    except (OSError, KeyError, ValueError, http.client.HTTPException):
        return
    if days < EXPIRY_WARNING_DAYS:
        report.add("certificate", "warning", f"the server's certificate expires in {days:.0f} days.", "tell the admin: its renewal does not work")


def judge_status(server: Server, answer: Answer) -> None:
    """Answers that mean the same on every page.

    Raises:
        CheckError: for redirects, refusals, limits and errors.
    """
    status, text = answer.status, answer.text[:2000]
    if status in (301, 302, 303, 307, 308):
        target = urllib.parse.urlsplit(answer.headers.get("Location", ""))
        if target.hostname == server.host and target.scheme == "https":
            better = f"https://{target.netloc}"
            raise CheckError(SERVER, f"the server sends you to {better}.", f"export MLFLOW_TRACKING_URI={shlex.quote(better)}")
        message = f"the server sends you elsewhere ({target.hostname or 'a login page'}): something is between you and MLflow."
        raise CheckError(SERVER, message, f"use the bundle's address{': ' + bundle_uri() if bundle_uri() else ''}; else tell the admin this line")
    if status == 403 and "host header" in text.lower():
        message = f"the server does not know itself as '{server.host}' (Invalid Host header)."
        raise CheckError(SERVER, message, f"use the name of the bundle, or ask the admin to add '{server.host}' to site_alternative_names")
    if status == 429:
        wait = answer.headers.get("Retry-After")
        raise CheckError(LOGIN, "the server asks you to slow down (429): too many requests or wrong passwords.", f"wait {wait + ' s' if wait else 'a minute'}")
    if status in (502, 503, 504):
        message = f"the web server answers, but MLflow behind it does not ({status})."
        raise CheckError(SERVER, message, "wait a minute (it may be restarting), then tell the admin")


def check_health(report: Report, server: Server, answer: Answer) -> None:
    """The health page and the clock."""
    judge_status(server, answer)
    if answer.status == 403:
        message = "the web server does not let this network in (403)."
        raise CheckError(SERVER, message, "connect to the lab's network or VPN, or ask the admin to add your network to site_client_cidrs")
    if answer.status != 200 or answer.text.strip() != "OK":
        message = f"what answers at {server.host} is not an MLflow server (status {answer.status} for /health)."
        raise CheckError(SERVER, message, f"check the address{'; the bundle says ' + bundle_uri() if bundle_uri() else ''}")
    report.add("server", "ok", "MLflow answers.")
    skew = clock_skew(answer)
    if abs(skew) > CLOCK_SKEW_SECONDS:
        report.add("clock", "warning", skew_text(skew), "set the clock (timedatectl set-ntp true): times of runs will be wrong")


def check_login(report: Report, server: Server) -> list[dict[str, Any]]:
    """Search the experiments, as MLflow would; the experiments found."""
    login = server.login
    if login is None and os.environ.get("MLFLOW_TRACKING_TOKEN"):
        raise CheckError(LOGIN, "MLFLOW_TRACKING_TOKEN is set, but this server takes a user name and a password.", "unset it; see below for the other two")
    answer = server.get(SEARCH, login=True)
    judge_status(server, answer)
    if answer.status == 401 and login is None:
        advice = f"copy the bundle's credentials to {CREDENTIALS_FILE} (mode 0600)\nor set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        raise CheckError(LOGIN, "the server wants a login, and this computer has none.", advice)
    if answer.status == 401 and login:
        advice = "get a new bundle or password from the admin; do not let jobs repeat it: after some wrong passwords the server blocks your address"
        raise CheckError(LOGIN, f"the server refuses the password of '{login.username}' (from {login.source}).", advice)
    if answer.status == 403:
        raise CheckError(LOGIN, f"'{login.username if login else 'nobody'}' may not list experiments (403).", "ask the admin for permission")
    body = answer.json()
    if answer.status != 200 or not isinstance(body, dict):
        message = f"the server's answer to a search is not MLflow's (status {answer.status})."
        raise CheckError(SERVER, message, "check the address; else tell the admin: the log of the tracking server says why")
    report.add("login", "ok", f"logged in as '{login.username}' (from {login.source})." if login else "the server wants no login.")
    return body.get("experiments") or []


def client_version() -> str:
    """Version of the installed mlflow package, empty without one."""
    for package in ("mlflow", "mlflow-skinny"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(package)
    return ""


def check_version(report: Report, server: Server) -> str:
    """Compare the versions; the server's."""
    answer, mine = server.get("/version", login=True), client_version()
    theirs = answer.text.strip() if answer.status == 200 else ""
    if not re.fullmatch(r"\d+\.\d+\S*", theirs):
        report.add("version", "warning", f"the server does not tell its version (status {answer.status}).")
        return ""
    wanted = "pip install " + shlex.quote(f"mlflow-skinny=={theirs}")
    if not mine:
        report.add("version", "ok", f"server {theirs}; no mlflow package for {sys.executable}.", wanted)
    elif mine.split(".")[:2] == theirs.split(".")[:2]:
        report.add("version", "ok", f"server {theirs}, this computer {mine}.")
    else:
        newer = numbers(mine) > numbers(theirs)
        effect = "it may ask for what the server does not have yet" if newer else "some features of the server are missing"
        report.add("version", "warning", f"server {theirs}, this computer {mine}: {effect}.", wanted)
    return theirs


def numbers(version: str) -> tuple[int, ...]:
    """Version for comparison."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def check_artifacts(report: Report, server: Server, experiments: list[dict[str, Any]]) -> None:
    """Where the files of runs go, and whether the server can list them."""
    if not experiments:
        report.add("artifacts", "ok", "there is no experiment yet to look at.")
        return
    experiment, place = experiments[0].get("experiment_id", ""), experiments[0].get("artifact_location", "")
    scheme = urllib.parse.urlsplit(place).scheme
    if scheme == "mlflow-artifacts":
        answer = server.get("/api/2.0/mlflow-artifacts/artifacts?path=" + urllib.parse.quote(experiment), login=True)
        if answer.status >= 500:
            message = f"the server cannot reach its artifact store (status {answer.status})."
            raise CheckError(ROUND_TRIP, message, "tell the admin: the store's address, keys or certificate (the role object_store's check says which)")
        if answer.status == 200:
            report.add("artifacts", "ok", "the server lists artifacts.")
        else:
            message = f"artifacts of experiment {experiment} cannot be listed (status {answer.status})."
            report.add("artifacts", "warning", message, "ask the admin for permission")
    elif scheme in ("", "file"):
        message = f"experiment {experiment} keeps artifacts in '{place}', a directory of whichever computer logs the run."
        report.add("artifacts", "warning", message, "log to a new experiment; tell the admin")
    elif scheme == "s3" and not importlib.util.find_spec("boto3"):
        report.add("artifacts", "warning", f"experiment {experiment} keeps artifacts in '{place}': clients go there themselves.", "pip install boto3")
    else:
        report.add("artifacts", "ok", f"experiment {experiment} keeps artifacts in '{place}'.")


def download_place(server: Server, experiment: str, run: str) -> str:
    """Host that the server sends clients to for downloads; empty when the files come through the server itself."""
    with contextlib.suppress(OSError, http.client.HTTPException, AttributeError, TypeError):
        answer = server.get(f"/api/2.0/mlflow-artifacts/presigned/{experiment}/{run}/artifacts/doctor.txt", login=True)
        return urllib.parse.urlsplit(answer.json().get("url", "")).netloc
    return ""


def round_trip(report: Report, server: Server, uri: str, theirs: str) -> None:
    """Log a run with the mlflow package, read it back, delete it."""
    if not client_version():
        advice = "pip install " + shlex.quote(f"mlflow-skinny=={theirs}" if theirs else "mlflow-skinny")
        raise CheckError(ROUND_TRIP, f"--write needs the mlflow package for {sys.executable}.", advice)
    os.environ.update({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": f"{max(server.timeout, 10):.0f}"})
    os.environ.update({"MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "GIT_PYTHON_REFRESH": "quiet"})
    step, started, experiment, run = "import mlflow", time.monotonic(), "", ""
    try:
        with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as scratch:
            client = importlib.import_module("mlflow").MlflowClient(uri)
            step = "open the experiment 'labtrack-doctor'"
            found = client.get_experiment_by_name("labtrack-doctor")
            experiment = found.experiment_id if found else client.create_experiment("labtrack-doctor")
            step = "log a run"
            run = client.create_run(experiment, run_name="labtrack-doctor").info.run_id
            client.log_param(run, "host", socket.gethostname())
            client.log_metric(run, "answer", 42.0)
            step = "log an artifact"
            client.log_text(run, run, "doctor.txt")
            client.set_terminated(run)
            step = "read the run back"
            back = client.get_run(run).data
            if back.metrics.get("answer") != 42.0 or back.params.get("host") != socket.gethostname():
                raise ValueError("the server gave other values back")
            step = "read the artifact back"
            with open(client.download_artifacts(run, "doctor.txt", scratch), encoding="utf-8") as handle:
                if handle.read() != run:
                    raise ValueError("the server gave another file back")
            step = "delete the run"
            client.delete_run(run)
    except Exception as error:
        message = f"'{step}' failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
        place = download_place(server, experiment, run) if step == "read the artifact back" else ""
        if place and place != urllib.parse.urlsplit(uri).netloc:
            advice = "ask the admin to set tracking_server_artifacts_presigned_enabled to false, or to let clients reach and trust that store"
            raise CheckError(ROUND_TRIP, f"{message} The server sends this computer to '{place}' for downloads.", advice) from error
        raise CheckError(ROUND_TRIP, message, "ask the admin for permission, or tell the admin this line") from error
    report.add("round trip", "ok", f"a run with an artifact was written, read back and deleted in {time.monotonic() - started:.1f} s.")


def examine(report: Report, options: argparse.Namespace) -> None:
    """All checks in order; stops at the first that fails."""
    check, bundle = "address", bundle_uri()
    given = options.uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    report.keep_secret(*re.findall(r"//[^/@\s:]*:([^/@\s]+)@", given))
    try:
        uri = judge_uri(given, bundle)
        report.add(check, "ok", f"{uri.scheme}://{uri.netloc}")
        if bundle and bundle.rstrip("/") != given.rstrip("/"):
            report.add(check, "warning", f"the bundle in '{BUNDLE}' is for another address: {bundle}")
        check = "settings"
        check_environment()
        check = "credentials"
        server = Server(uri, options.timeout)
        report.keep_secret(server.proxy.password if server.proxy else None)
        server.login = find_login(report, server.host)
        if server.login:
            report.keep_secret(base64.b64encode(f"{server.login.username}:{server.login.password}".encode()).decode())
        check, ca = "certificate", find_ca()
        server.context = tls_context(*ca) if server.tls else None
        check = "network"
        check_route(report, server, bundle)
        check = "certificate" if server.tls else "server"
        answer = first_contact(report, server, ca)
        check = "server"
        check_health(report, server, answer)
        if options.no_login:
            return
        check = "login"
        experiments = check_login(report, server)
        check = "version"
        theirs = check_version(report, server)
        check = "artifacts"
        check_artifacts(report, server, experiments)
        if options.write:
            check = "round trip"
            round_trip(report, server, given, theirs)
    except CheckError as problem:
        report.add(check, "failed", problem.message, problem.action, problem.code)
    except (OSError, http.client.HTTPException) as error:
        report.add(check, "failed", f"the connection broke: {str(error) or type(error).__name__}.", "try again; if it stays, tell the admin this line", NETWORK)


def main(arguments: list[str] | None = None) -> int:
    """Command line."""
    description, _blank, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser("labtrack-doctor", description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--uri", default="", help="address to examine instead of MLFLOW_TRACKING_URI")
    parser.add_argument("--write", action="store_true", help="also log a run with an artifact, read it back and delete it (needs the mlflow package)")
    parser.add_argument("--no-login", action="store_true", help="stop before the login")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="SECONDS", help="for each step (default: 10)")
    parser.add_argument("--json", action="store_true", help="machine-readable result")
    options = parser.parse_args(arguments)
    report = Report()
    examine(report, options)
    if options.json:
        print(json.dumps({"works": report.code == 0, "exit_status": report.code, "checks": report.checks}, indent=2))
    else:
        print(report.text())
    return report.code


if __name__ == "__main__":
    sys.exit(main())
