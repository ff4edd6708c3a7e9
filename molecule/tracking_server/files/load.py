# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests over kept connections to the sockets, as the proxy makes them; prints how many of each kind were answered.

usage: load.py SECONDS CREDENTIALS UNIT SOCKET…   with a unit: it is restarted in between
"""

import base64
import collections
import configparser
import http.client
import json
import socket
import subprocess
import sys
import threading
import time


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


def worker(path: str, login: str, end: threading.Event, counts: collections.Counter) -> None:
    """One connection after the other. A kept connection that the server has closed while idle is opened again, as nginx and the client do."""
    connection, fresh = Connection(path), True
    while not end.is_set():
        try:
            connection.request("GET", "/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": "localhost", "Authorization": login})
            answer = connection.getresponse()
            answer.read()
            counts[str(answer.status)] += 1
            fresh = False
        except (OSError, http.client.HTTPException) as error:
            counts[f"lost {type(error).__name__}" if fresh else "reopened"] += 1
            connection.close()
            connection, fresh = Connection(path), True


def main(seconds: str, credentials_file: str, unit: str, *paths: str) -> None:
    """Four connections to each socket."""
    credentials = configparser.ConfigParser(interpolation=None)
    credentials.read(credentials_file)
    login = ":".join(credentials["mlflow"][f"mlflow_tracking_{key}"] for key in ("username", "password"))
    header = "Basic " + base64.b64encode(login.encode()).decode()
    counts: collections.Counter = collections.Counter()
    end = threading.Event()
    threads = [threading.Thread(target=worker, args=(path, header, end, counts)) for path in paths for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(float(seconds))
    if unit:
        subprocess.run(["systemctl", "restart", unit], check=True)
        time.sleep(float(seconds))
    end.set()
    for thread in threads:
        thread.join()
    print(json.dumps(counts))


if __name__ == "__main__":
    main(*sys.argv[1:])
