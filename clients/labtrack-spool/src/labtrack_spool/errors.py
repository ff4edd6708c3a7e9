# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, for those who read the message and for those who catch it."""

from __future__ import annotations

import json
import re
from typing import Any


class SpoolError(Exception):
    """Anything that labtrack-spool reports."""


class SetupError(SpoolError):
    """A setting, a path or an address is wrong: variable, value, what is accepted, what to do."""


class ApiError(SpoolError):
    """The server refused a request, or could not be reached.

    Args:
        message: one sentence.
        status: HTTP status; 0 where there was no answer.
        code: MLflow's error code, for instance RESOURCE_DOES_NOT_EXIST.
    """

    def __init__(self, message: str, status: int = 0, code: str = "") -> None:
        super().__init__(message)
        self.status, self.code = status, code

    @classmethod
    def of(cls, method: str, path: str, answer: Any, uri: str) -> ApiError:
        """The error that an HTTP answer stands for."""
        try:
            content = json.loads(answer.text)
            code, text = content.get("error_code", ""), content.get("message", "") or content.get("detail", "")
        except (ValueError, AttributeError):
            code, text = "", re.sub(r"<[^>]*>|\s+", " ", answer.text).strip()
        if answer.status_code == 401:
            text = "the login is missing or wrong; write user name and password into ~/.mlflow/credentials (mode 0600)"
        elif answer.status_code == 403:
            text = f"you may not do this ({text or 'no permission'}); ask for the permission EDIT on the experiment or model"
        elif answer.status_code in (301, 302, 303, 307, 308):
            text = f"the server is at another address: {answer.headers.get('Location', '?')}"
        elif answer.status_code == 413:
            text = f"the proxy in front of {uri} refuses bodies of this size"
        return cls(f"{method} {path.split('?')[0]}: {answer.status_code} {str(text)[:500]}", answer.status_code, code)

    @property
    def is_fatal(self) -> bool:
        """Whether every other request will fail as well."""
        return self.status in (0, 401)


class AmbiguousError(SpoolError):
    """A request that must not be repeated blindly was lost on the way."""
