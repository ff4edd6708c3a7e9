# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a bucket policy before it is put: it must not open the bucket to the public, nor lock out who writes it."""

from __future__ import annotations

import fnmatch
import typing as t

# what MLflow and these roles need; a denial of one of them, without a condition, locks the writer out
NEEDED = [
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:ListBucket",
    "s3:AbortMultipartUpload",
    "s3:GetBucketPolicy",
    "s3:PutBucketPolicy",
    "s3:DeleteBucketPolicy",
    "s3:PutLifecycleConfiguration",
    "s3:PutBucketVersioning",
    "s3:GetBucketVersioning",
]
# conditions that never hold for a signed request over TLS
HARMLESS = {("Bool", "aws:SecureTransport", "false")}


def listed(value: t.Any) -> list[t.Any]:
    """A list of one or more."""
    return value if isinstance(value, list) else [] if value is None else [value]


def principals(value: t.Any) -> list[str]:
    """Names of a principal, V(*) included."""
    if isinstance(value, dict):
        return [str(name) for names in value.values() for name in listed(names)]
    return [str(name) for name in listed(value)]


def harmless(condition: t.Any) -> bool:
    """Whether a denial under this condition cannot hit a signed request over TLS."""
    if not isinstance(condition, dict):
        return False
    return any((operator, key, str(value).lower()) in HARMLESS for operator, tests in condition.items() for key, value in dict(tests).items())


def denied(statement: dict[str, t.Any]) -> list[str]:
    """Needed actions that the statement takes away."""
    if "NotAction" in statement:
        spared = [str(name) for name in listed(statement["NotAction"])]
        return [action for action in NEEDED if not any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in spared)]
    patterns = [str(name) for name in listed(statement.get("Action"))]
    return [action for action in NEEDED if any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)]


def problems(policy: dict[str, t.Any], bucket: str) -> list[str]:
    """Why the policy is refused; empty when it can be tried.

    A denial is judged as if it named the writer: how a store spells the writer's principal is not known before.
    """
    found = []
    statements = listed(policy.get("Statement"))
    if not statements or not all(isinstance(statement, dict) for statement in statements):
        return ["it has no Statement list"]
    for number, statement in enumerate(statements, 1):
        name = f"statement {statement.get('Sid') or number}"
        effect = statement.get("Effect")
        outside = [r for r in listed(statement.get("Resource")) if not str(r).startswith((f"arn:aws:s3:::{bucket}/", "*")) and r != f"arn:aws:s3:::{bucket}"]
        if effect not in ("Allow", "Deny"):
            found.append(f"{name} has the effect '{effect}', not Allow or Deny")
        elif outside:
            found.append(f"{name} is about '{outside[0]}', which is not in the bucket '{bucket}'")
        elif effect == "Allow" and ("NotPrincipal" in statement or "*" in principals(statement.get("Principal"))):
            found.append(f"{name} allows everybody: name the principals")
        elif effect == "Deny" and denied(statement) and not harmless(statement.get("Condition")):
            found.append(f"{name} denies {', '.join(denied(statement)[:3])}, which could lock out this site: allow what is wanted instead")
    return found
