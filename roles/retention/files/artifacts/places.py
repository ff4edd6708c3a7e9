# SPDX-License-Identifier: GPL-3.0-or-later
"""Where artifacts are: the site's own store, and the keys in it that MLflow's URIs mean."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

CONTROL = {chr(number) for number in range(32)}


class PlaceError(Exception):
    """A location that cannot be understood; the message says which."""


@dataclass(frozen=True)
class Root:
    """The store of a site: a bucket with an optional folder in it, or a directory.

    `bucket` is empty for a directory, and `prefix` then is its absolute path. Keys are those of the bucket, or paths relative to the directory.
    """

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, uri: str) -> Root:
        """The root that `s3://bucket[/folder]`, `file:///path` or `/path` names."""
        parts = urlsplit(uri)
        if parts.scheme == "s3" and parts.netloc:
            return cls(parts.netloc, parts.path.strip("/"))
        if parts.scheme in ("", "file") and parts.path.startswith("/") and not parts.netloc:
            return cls("", "/" + (unquote(parts.path) if parts.scheme else uri).strip("/"))
        raise PlaceError(f"'{uri}' is no place of artifacts. Accepted: s3://bucket/folder or an absolute path.")

    @property
    def uri(self) -> str:
        """As a person writes it."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/") if self.bucket else self.prefix

    @property
    def base(self) -> str:
        """What keys of this root begin with."""
        return f"{self.prefix}/" if self.bucket and self.prefix else ""

    def key(self, uri: str) -> str | None:
        """The key that an artifact URI of MLflow means in this root; None where it lies elsewhere, or cannot be told.

        A proxied location (`mlflow-artifacts:`) lies below the root; a direct one names bucket or path itself.
        """
        if not uri or CONTROL & set(uri):
            return None
        parts = urlsplit(uri, allow_fragments=False)
        path = uri.partition(":")[2] if parts.scheme else uri
        if parts.netloc:
            path = path[2:].partition("/")[2]
        path = path.strip("/")
        if parts.scheme == "mlflow-artifacts":
            return self.base + path
        if parts.scheme == "s3" and parts.netloc == self.bucket and path:
            return path
        if parts.scheme in ("", "file") and not self.bucket and not parts.netloc:
            whole, base = "/" + (unquote(path) if parts.scheme else path), self.prefix.rstrip("/") + "/"
            return whole[len(base) :] if whole.startswith(base) else None
        return None
