# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with an S3 store, in plain words, with what to do."""

from __future__ import annotations

# kind: (variable, what is wrong, what is accepted, what to do)
MESSAGES = {
    "dns": ("endpoint", "the name is not known to the DNS", "a name that this machine can resolve", "Check the spelling and /etc/resolv.conf."),
    "refused": ("endpoint", "nothing listens on that port", "an endpoint that answers", "Check the port, and whether the store is up."),
    "timeout": ("endpoint", "no answer in time", "an endpoint that this machine can reach", "Check routes, security groups and firewalls."),
    "network": ("endpoint", "the network does not let this machine reach it", "an endpoint that this machine can reach", "Check routes and firewalls."),
    "not_s3": ("endpoint", "what answers there is not an S3 store", "the URL of the S3 interface", "Ask the store's operators for it."),
    "tls": ("endpoint", "the TLS handshake fails", "https:// with TLS 1.2 or newer", "Check that the port speaks TLS."),
    "tls_ca": ("ca_file", "the certificate of the store is from an unknown CA", "the CA of the store", "Give a PEM file with that CA; empty: the system's."),
    "tls_name": ("endpoint", "the certificate of the store is for another name", "a name in the certificate", "Use that name in the endpoint."),
    "tls_expired": ("endpoint", "the certificate of the store has expired or is not yet valid", "a valid one", "Renew it, or set this machine's clock."),
    "ca_missing": ("ca_file", "there is no such file on the machine", "the path of a PEM file, or empty", "Put the CA there, or correct the path."),
    "ca_unusable": ("ca_file", "the file holds no certificate that can be read", "a PEM file", "Replace it."),
    "access_key": ("access_key", "the store does not know this key", "a key of this store", "Check for a key of another site, or one that was revoked."),
    "secret_key": (
        "secret_key",
        "it does not belong to the access key, or the store does not know that key",
        "the secret of a key of this store",
        "Enter both again, without spaces or quotes.",
    ),
    "clock": ("endpoint", "the clocks of the machine and the store are too far apart", "at most 15 minutes", "Set the clock: 'timedatectl'."),
    "region": ("region", "the store expects another region", "the store's region", "Ask the operators; Ceph takes any, OpenStack often RegionOne."),
    "denied": ("bucket", "the key may not use this bucket", "a bucket of the key's own project", "Names are shared by all: choose another one."),
    "redirect": ("endpoint", "the bucket is in another region or behind another endpoint", "the bucket's own endpoint", "Set endpoint and region."),
    "server": ("endpoint", "the store reports an error of its own", "a healthy store", "Try again; ask the store's operators."),
    "no_boto3": ("python", "it cannot import boto3", "a Python with boto3", "Install the MLflow release first, or Debian's python3-boto3."),
    "python": ("python", "the interpreter cannot be run", "the path of a Python with boto3", "Install the MLflow release first, or Debian's python3-boto3."),
    "probe": ("endpoint", "the probe stopped", "a store that answers", "Run again with -vvv; see the detail."),
}
LIMIT = 300


def explain(kind: str, detail: str, values: dict[str, str], names: dict[str, str]) -> str:
    """One message in four parts: variable, value, what is accepted, what to do. Values of secrets are never in `values`.

    Args:
        names: what the options are called in the inventory.
    """
    variable, wrong, accepted, action = MESSAGES.get(kind, MESSAGES["probe"])
    value = f" is '{values[variable]}'" if variable in values else " was given"
    extra = f" ({detail[:LIMIT]})" if detail else ""
    return f"{names.get(variable, variable)}{value}: {wrong}{extra}. Accepted: {accepted}. {action}"
