#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for MLflow: its login rules (what needs a password, what does not) on two Unix sockets, with an answer that tells what arrived."""

import base64
import http.server
import json
import os
import re
import socketserver
import sys
import threading
import time

OPEN = re.compile(r"/(static|favicon\.ico|health|version$|(ajax-)?api/\d+\.\d+/mlflow/server-info$)")
PASSWORDS = {"alice": "right-password", "bob": "other-password"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def address_string(self):
        return "nginx"

    def log_message(self, *_arguments):
        pass

    def body(self):
        """Read the body; its size and for how long it arrived."""
        size, start = 0, time.monotonic()
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while length := int(self.rfile.readline(), 16):
                left = length + 2
                while left:
                    left -= len(self.rfile.read(min(left, 65536)))
                size += length
            self.rfile.readline()
        else:
            left = int(self.headers.get("Content-Length") or 0)
            while left and (data := self.rfile.read(min(left, 65536))):
                left -= len(data)
                size += len(data)
        return size, time.monotonic() - start

    def logged_in(self):
        value = self.headers.get("Authorization", "")
        if self.path.startswith("/gateway/"):
            value = self.headers.get("X-MLflow-Authorization", value)
        scheme, _, encoded = value.partition(" ")
        if scheme.lower() != "basic":
            return False
        name, _, password = base64.b64decode(encoded).decode().partition(":")
        return PASSWORDS.get(name) == password

    def answer(self, status, document, headers=()):
        content = (json.dumps(document) + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Frame-Options", "SAMEORIGIN")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def stream(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(4):
            data = f"data: {number}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            time.sleep(0.5)
        self.wfile.write(b"0\r\n\r\n")

    def serve(self):
        path = self.path.partition("?")[0]
        size, seconds = self.body()
        if not OPEN.match(path) and not self.logged_in():
            self.answer(401, "You are not authenticated.", [("WWW-Authenticate", 'Basic realm="mlflow"')])
        elif path == "/gateway/stream":
            self.stream()
        elif path == "/get-artifact" and "large" in self.path:
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 30))
            self.end_headers()
            for _ in range(1 << 14):
                self.wfile.write(bytes(1 << 16))
        else:
            if "slow" in self.path:
                time.sleep(3)
            self.answer(
                200,
                {
                    "site": sys.argv[1],
                    "socket": self.server.name,
                    "path": self.path,
                    "method": self.command,
                    "size": size,
                    "seconds": seconds,
                    "headers": dict(self.headers),
                    "pid": os.getpid(),
                },
            )

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, name):
        self.name, path = name, f"/run/stand-in-{sys.argv[1]}/{name}.sock"
        if os.path.exists(path):
            os.unlink(path)
        super().__init__(path, Handler)
        os.chmod(path, 0o666)


threading.Thread(target=Server("api").serve_forever, daemon=True).start()
Server("asgi").serve_forever()
