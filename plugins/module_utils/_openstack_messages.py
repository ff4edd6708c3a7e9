# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with EC2 keys of an OpenStack cloud, in plain words, with what to do."""

from __future__ import annotations

import typing as t

WAYS_OUT = (
    "Do one of these. (a) Log in once by single sign-on or password, for instance 'openstack --os-auth-type v3websso ec2 credentials create', and put its "
    "access and secret into the vault of the site as {keys}. (b) Make an unrestricted application credential for this step alone ('openstack application "
    "credential create --unrestricted NAME'), run again with it, delete it{unrestricted}. (c) Ask the cloud's staff for an S3 key of the project."
)
# reason: (option, what is wrong, what is accepted, what to do)
MESSAGES = {
    "adopt": ("access_key", "this login has no such key in the project", "empty, or one of {known}", "Correct it, or leave it empty to have a key made."),
    "arguments": ("state", "it also needs {detail}", "{detail}", "Set it."),
    "cloud_options": ("cloud", "it holds a whole configuration, and {detail} is set beside it", "one of the two", "Move {detail} into it."),
    "config": ("cloud", "the connection to the cloud is not set up ({detail})", "a cloud of clouds.yaml, auth, or OS_* variables", "Correct it."),
    "create_unclear": (
        "path",
        "the answer to a request for a key was lost, and then there was {detail}, which nothing proves to be this site's",
        "keys whose owner is known",
        "Run again with access_key=KEY to use one; delete it with state=absent and access_key=KEY; or name it in foreign_access_keys.",
    ),
    "delegated": ("auth", "the cloud lets no application credential or other delegated login manage keys ({detail})", "another login", WAYS_OUT),
    "forbidden": ("auth", "this login may not manage its own keys ({detail})", "a login with a role in the project", "Ask the cloud's staff."),
    "login": (
        "auth",
        "the cloud refuses the login ({detail})",
        "a user, or an application credential, that exists",
        "Check name or id, and the secret; an application credential that has ended is refused in the same words.",
    ),
    "login_expired": ("auth", "the token has expired or was withdrawn ({detail})", "a valid login", "Log in again, and give the new token."),
    "login_scope": (
        "auth",
        "{detail} stands beside an application credential, which has its project in itself and may choose none",
        "the credential alone",
        "Remove it from clouds.yaml, auth and the OS_* variables ('unset OS_PROJECT_ID …').",
    ),
    "no_project": ("auth", "the login is for no project", "a login for the project whose object store is used", "Set project_name or project_id."),
    "no_s3": (
        "s3_endpoint",
        "this cloud has no S3 store for this login ({detail})",
        "a cloud with an object store",
        "Use another store: one elsewhere with its own keys, or one on the machine.",
    ),
    "other_user": (
        "path",
        "the key {detail} was made by another user, and only that user can delete it",
        "the login of that user",
        "Run with that login; or ask that user to run 'openstack ec2 credentials delete'.",
    ),
    "quota": ("auth", "this user has as many keys as the cloud allows ({detail})", "fewer keys", "Delete unused ones: 'openstack ec2 credentials list'."),
    "record": ("path", "the record cannot be used ({detail})", "a file that this module wrote, in a directory that exists", "Correct the path or the file."),
    "rotating": ("path", "a rotation is not finished: {detail} is still recorded", "no earlier key", "Run with state=retired first, or use that key again."),
    "sdk": ("ansible_python_interpreter", "it cannot import openstacksdk ({detail})", "a Python with openstacksdk", "Install openstacksdk for it."),
    "tls": ("ca_cert", "the certificate of the cloud is not trusted ({detail})", "the CA of the cloud", "Give its CA as a PEM file."),
    "unavailable": ("timeout", "the cloud gave no usable answer in that time ({detail})", "a cloud that answers", "Check its address and status; run again."),
    "verification": (
        "s3_endpoint",
        "the store does not accept the key ({detail})",
        "the S3 endpoint of the cloud that made the key",
        "Check endpoint and region, and with the cloud's staff whether the role in the project may use the object store.",
    ),
    "wrong_project": (
        "path",
        "it records a key of the project {detail}",
        "the record of the project that the login is for",
        "Log in to that project, or use another path.",
    ),
    "wrong_region": ("region_name", "the cloud has no such region", "one of {detail}", "Correct it; upper and lower case matter."),
}
LIMIT = 300


class CloudError(Exception):
    """No key can be had; `reason` is a key of MESSAGES, `values` fill its text, `done` is what happened before."""

    def __init__(self, reason: str, detail: str = "", **values: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.values = reason, " ".join(detail.split())[:LIMIT], values
        self.after = ""


class LostAnswerError(Exception):
    """Nobody knows whether the request was carried out."""


def explain(error: CloudError, params: dict[str, t.Any]) -> str:
    """One message in four parts: option, value, what is accepted, what to do. What holds secrets has no value in it."""
    option, wrong, accepted, action = MESSAGES[error.reason]
    names = params.get("variable_names") or {}
    value = params.get(option)
    shown = f" is '{value}'" if isinstance(value, (str, int)) and value != "" else ""
    keys = " and ".join(names.get(name, f"site_s3_{name}") for name in ("access_key", "secret_key"))
    values = {"detail": error.detail, "known": "none", "keys": keys, "unrestricted": "", **error.values}
    parts = (wrong.format(**values), accepted.format(**values), action.format(**values))
    return f"{names.get(option, option)}{shown}: {parts[0]}. Accepted: {parts[1]}. {parts[2]}" + (f" {error.after}" if error.after else "")
