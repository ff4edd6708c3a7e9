# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the machine with MLflow's Python: artifacts through the ASGI socket, and what lies in the bucket afterwards. Prints JSON.

usage: transfer_program.py SOCKET CREDENTIALS STORE_ENVIRONMENT BUCKET
"""

import base64
import configparser
import hashlib
import http.client
import json
import os
import secrets
import socket
import sys
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROUTE = "/api/2.0/mlflow-artifacts/artifacts/"
LARGE = os.urandom(1 << 20) * 64


class Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


class Server:
    """What a client does, as one person."""

    def __init__(self, path: str, user: str, password: str) -> None:
        self.path, self.login = path, "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def ask(self, method: str, target: str, body=None, **headers: str) -> tuple[int, dict, bytes]:
        connection = Connection(self.path, timeout=120)
        login = {"Authorization": self.login} if self.login else {}
        connection.request(method, target, body, {"Host": "localhost", **login, **headers}, encode_chunked=True)
        answer = connection.getresponse()
        return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()

    def put(self, name: str, body, **headers: str) -> int:
        return self.ask("PUT", ROUTE + urllib.parse.quote(name), body, **headers)[0]

    def get(self, name: str, **headers: str) -> tuple[int, dict, bytes]:
        return self.ask("GET", ROUTE + urllib.parse.quote(name), **headers)

    def cut_off(self, name: str, framing: str, sent: bytes) -> None:
        """A client that goes away in the middle."""
        connection = Connection(self.path, timeout=120)
        connection.connect()
        start = f"PUT {ROUTE}{name} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {self.login}\r\n{framing}\r\n\r\n"
        connection.sock.sendall(start.encode() + sent)
        connection.sock.close()


def bucket_of(environment: str, bucket: str):
    """The store itself."""
    for line in Path(environment).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            os.environ[name] = value.strip('"')
    import boto3

    store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])

    def look(prefix: str) -> dict:
        return {item["Key"].removeprefix(prefix): item["Size"] for item in store.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])}

    def kind(key: str) -> list:
        head = store.head_object(Bucket=bucket, Key=key)
        return [head["ContentType"], head.get("ContentEncoding", "").replace("aws-chunked", "").strip(",")]

    return look, kind, lambda: [upload["Key"] for upload in store.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main(path: str, credentials_file: str, environment: str, bucket: str) -> None:
    """All of it."""
    credentials = configparser.ConfigParser(interpolation=None)
    credentials.read(credentials_file)
    admin = Server(path, *(credentials["mlflow"][f"mlflow_tracking_{key}"] for key in ("username", "password")))
    look, kind, pending = bucket_of(environment, bucket)
    body = json.dumps({"name": f"transfers {secrets.token_hex(4)}"})
    experiment = json.loads(admin.ask("POST", "/api/2.0/mlflow/experiments/create", body, **{"Content-Type": "application/json"})[2])["experiment_id"]
    place, found = f"{experiment}/transfers/artifacts/", {}
    found["put"] = {
        "empty": admin.put(place + "empty", b""),
        "empty, chunked": admin.put(place + "empty-chunked", iter(()), **{"Transfer-Encoding": "chunked"}),
        "name": admin.put(place + "Größe 1+1=2 % .json", b"{}"),
        "encoded": admin.put(place + "table.csv.gz", b"\x1f\x8b"),
        "edge": admin.put(place + "edge", LARGE[: 1 << 20]),
        "over the edge": admin.put(place + "over", LARGE[: (1 << 20) + 1]),
        "large": admin.put(place + "sub/large.bin", LARGE),
        "large, chunked": admin.put(place + "chunked.bin", iter([LARGE[: 3 << 20]]), **{"Transfer-Encoding": "chunked"}),
    }
    for name, framing, sent in (
        ("cut-small", "Content-Length: 1000", b"x" * 500),
        ("cut-large", f"Content-Length: {len(LARGE)}", LARGE[: 20 << 20]),
        ("cut-chunked", "Transfer-Encoding: chunked", b"%x\r\n%s\r\n" % (3 << 20, LARGE[: 3 << 20])),
    ):
        admin.cut_off(place + name, framing, sent)
    with ThreadPoolExecutor(16) as pool:
        up = [pool.submit(admin.put, f"{place}many/{number}", LARGE) for number in range(8)]
        down = [pool.submit(admin.get, place + "sub/large.bin") for _ in range(8)]
        found["parallel"] = [sorted({future.result() for future in up}), sorted({digest(future.result()[2]) == digest(LARGE) for future in down})]
    status, headers, content = admin.get(place + "sub/large.bin")
    found["large"] = [status, int(headers["content-length"]), headers["content-disposition"], headers["content-type"], content == LARGE]
    status, headers, content = admin.get(place + "Größe 1+1=2 % .json")
    found["name"] = [status, headers["content-type"], headers["x-content-type-options"], content.decode()]
    found["empty"] = [admin.get(place + name)[::2] == (200, b"") for name in ("empty", "empty-chunked")]
    status, headers, content = admin.get(place + "sub/large.bin", Range=f"bytes={5 << 20}-{(5 << 20) + 9}")
    found["range"] = [status, headers["content-range"], content == LARGE[5 << 20 : (5 << 20) + 10]]
    found["no such range"] = admin.get(place + "edge", Range=f"bytes={2 << 20}-")[0]
    status, headers, content = admin.get(place + "missing")
    found["missing"] = [status, headers["content-type"], json.loads(content)["error_code"]]
    found["refused"] = {"directory": admin.get(place + "sub")[0], "path": admin.put(place + "%2e%2e/%2e%2e/x", b"x")}
    nobody = Server(path, "", "")
    nobody.login = ""
    found["nobody"] = [nobody.put(place + "nobody", b"x"), nobody.get(place + "edge")[0], nobody.ask("HEAD", ROUTE + place + "edge")[0]]
    name, password = f"reader-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    body = json.dumps({"username": name, "password": password})
    admin.ask("POST", "/api/2.0/mlflow/users/create", body, **{"Content-Type": "application/json"})
    reader = Server(path, name, password)
    found["reader"] = [reader.put(place + "reader", b"x"), reader.put(place + "reader-large", LARGE), reader.get(place + "edge")[0]]
    deadline = time.monotonic() + 60
    while (left := [key for key in [*look(place), *pending()] if "cut-" in key]) and time.monotonic() < deadline:
        time.sleep(0.5)
    found["left"], found["objects"] = left, look(place)
    found["kinds"] = {name: kind(place + name) for name in ("table.csv.gz", "Größe 1+1=2 % .json", "sub/large.bin")}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
