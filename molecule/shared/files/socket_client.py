# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the real MLflow client, which knows no Unix sockets, speak to the server's socket as its first administrator."""

import configparser
import os
import socket
import threading


def forward(path: str) -> int:
    """A port whose connections end at the Unix socket."""
    listener = socket.create_server(("127.0.0.1", 0))

    def copy(source, target) -> None:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(path)
            threading.Thread(target=copy, args=(client, server), daemon=True).start()
            threading.Thread(target=copy, args=(server, client), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def connect(path: str, credentials_file: str) -> None:
    """Set the environment of the client that is imported next."""
    credentials = configparser.ConfigParser(interpolation=None)
    credentials.read(credentials_file)
    os.environ["MLFLOW_TRACKING_URI"] = f"http://localhost:{forward(path)}"
    os.environ["MLFLOW_TRACKING_USERNAME"] = credentials["mlflow"]["mlflow_tracking_username"]
    os.environ["MLFLOW_TRACKING_PASSWORD"] = credentials["mlflow"]["mlflow_tracking_password"]
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
