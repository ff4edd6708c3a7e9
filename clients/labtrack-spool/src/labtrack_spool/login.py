# SPDX-License-Identifier: GPL-3.0-or-later
"""`labtrack login URL`: asks for the password once, tries it, and keeps it where MLflow's client reads it by itself.

It writes ~/.mlflow/credentials (mode 0600) and ~/.config/labtrack/mlflow_env.sh with the address and the CA. The password is in no list of processes, no
variable and no history. Nothing is written before the server has accepted the login.

exit status:
  0  logged in
  2  the address, the CA or the login is wrong, or the server cannot be reached; nothing was changed
"""

from __future__ import annotations

import argparse
import configparser
import getpass
import io
import netrc
import os
import shlex
import shutil
import sys
import tempfile
import urllib.parse
from pathlib import Path

from labtrack_spool.errors import ApiError, SetupError, SpoolError
from labtrack_spool.server import Server, check_uri

LOOPBACK = ("localhost", "127.0.0.1", "::1")
SECTION, USER, PASSWORD = "mlflow", "mlflow_tracking_username", "mlflow_tracking_password"
VARIABLES = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


def credentials_file() -> Path:
    """MLflow has no variable for another place."""
    return Path("~/.mlflow/credentials").expanduser()


def settings_folder() -> Path:
    """Where address and CA are kept."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "labtrack"


def write(path: Path, text: str, mode: int) -> None:
    """Write a file as a whole; it never has another mode, not for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.chmod(name, mode)
    os.replace(name, path)


def checked_uri(text: str) -> str:
    """The address; a password is sent over TLS only."""
    uri = check_uri(text)
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise SetupError(f"URL is '{text}': http sends the password readable over the network. Accepted: https://<server>. Write https.")
    return uri


def try_login(uri: str, username: str, password: str) -> None:
    """Ask the server for something that needs a login, with this login and no other.

    Raises:
        SetupError: it is refused.
    """
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = username, password
    try:
        server = Server(uri, timeout=20, retries=1)
        server.call("GET", "experiments/search", {"max_results": 1})
    except ApiError as error:
        if error.status == 401:
            message = f"the server refuses the login of '{username}'. Accepted: the name and password of the web pages. Try again, or ask the admin."
            raise SetupError(message) from None
        raise
    finally:
        for name in VARIABLES:
            os.environ.pop(name, None)


def credentials_text(path: Path, username: str, password: str) -> str:
    """The file with the login; other things in it stay."""
    parser = configparser.RawConfigParser()
    try:
        parser.read(path)
    except (configparser.Error, UnicodeDecodeError):
        raise SetupError(f"{path} cannot be read. Accepted: an INI file. Move it away, and log in again.") from None
    if not parser.has_section(SECTION):
        parser.add_section(SECTION)
    parser.set(SECTION, USER, username.replace("%", "%%"))  # MLflow reads the file with interpolation
    parser.set(SECTION, PASSWORD, password.replace("%", "%%"))
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()


def warnings(uri: str) -> list[str]:
    """What will get in the way of the login."""
    host, found = urllib.parse.urlsplit(uri).hostname or "", []
    for place in [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]:
        path = os.path.expanduser(place)
        try:
            if os.path.exists(path) and netrc.netrc(path).authenticators(host):
                found.append(f"{path} has an entry for '{host}': it wins over this login. Remove it, or keep it the same.")
        except (netrc.NetrcParseError, OSError):
            continue
    return found


def ask(arguments: argparse.Namespace) -> tuple[str, str]:
    """(name, password)."""
    username = arguments.username
    if not username:
        if not sys.stdin.isatty():
            raise SetupError("--username is missing. Accepted: your name on the server. Give it, where there is no terminal to ask on.")
        username = input("User name: ").strip()
    password = sys.stdin.readline().rstrip("\r\n") if arguments.password_stdin else getpass.getpass(f"Password of '{username}': ")
    if not username or not password:
        raise SetupError("the user name or the password is empty. Accepted: those of the web pages. Try again.")
    if not (username + password).isascii():
        raise SetupError("the user name or the password holds letters outside ASCII: MLflow's server refuses artifacts then. Ask the admin for another one.")
    return username, password


def login(arguments: argparse.Namespace) -> int:
    """Ask, try, write."""
    uri, folder = checked_uri(arguments.url), settings_folder()
    overridden = [name for name in VARIABLES if os.environ.get(name)]
    if arguments.ca_file:
        os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"] = os.path.abspath(arguments.ca_file)
    path = credentials_file()
    username, password = ask(arguments)
    text = credentials_text(path, username, password)
    try_login(uri, username, password)
    lines = ["# Written by labtrack login. Use: source mlflow_env.sh", "export MLFLOW_DISABLE_TELEMETRY=true"]
    lines.append(f"export MLFLOW_TRACKING_URI={shlex.quote(uri)}")
    ca = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    if ca:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if Path(ca).resolve() != (folder / "ca.pem").resolve():
            shutil.copyfile(ca, folder / "ca.pem")
        lines.append(f"export MLFLOW_TRACKING_SERVER_CERT_PATH={shlex.quote(str(folder / 'ca.pem'))}")
    write(path, text, 0o600)
    write(folder / "mlflow_env.sh", "\n".join(lines) + "\n", 0o600)
    print(f"'{username}' is logged in at {uri}: {path} (mode 0600)\nIn a shell: source {shlex.quote(str(folder / 'mlflow_env.sh'))}")
    for text in warnings(uri):
        print(f"warning: {text}", file=sys.stderr)
    if overridden:
        print(f"warning: {', '.join(overridden)} of your environment wins over the file. Unset it.", file=sys.stderr)
    return 0


def main(words: list[str] | None = None) -> int:
    """Entry point of `labtrack`."""
    description, _blank, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(prog="labtrack", description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    each = commands.add_parser("login", help="log in once for all programs that use MLflow")
    each.add_argument("url", metavar="URL", help="https://<server>")
    each.add_argument("--username", default="", help="otherwise it is asked for")
    ca = "certificate of the lab's CA (ca.pem of the bundle); otherwise MLFLOW_TRACKING_SERVER_CERT_PATH"
    each.add_argument("--ca-file", default="", metavar="PATH", help=ca)
    each.add_argument("--password-stdin", action="store_true", help="read the password from the first line of standard input")
    try:
        return login(parser.parse_args(words))
    except SpoolError as error:
        print(f"labtrack: {error}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, EOFError):
        print("labtrack: nothing was changed.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
