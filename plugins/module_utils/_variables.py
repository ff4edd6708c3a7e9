# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds variables that look like ours but are not: a misspelt option would be ignored without a word."""

from __future__ import annotations

import difflib
import typing as t

# Seams: shared by several roles, listed in docs/interfaces.md (a contract test compares).
_NAMES = """
    site_name site_fqdn site_alternative_names site_admin_email site_config_dir site_state_dir site_admin_cidrs site_client_cidrs site_http_proxy
    site_python_index_url site_service_user site_tls_certificate_file site_tls_key_file site_tls_ca_file site_database_host site_database_port
    site_database_name site_database_user site_database_password site_database_ca_file site_auth_database_name site_s3_endpoint site_s3_region
    site_s3_bucket site_s3_access_key site_s3_secret_key site_s3_ca_file site_s3_ca_pem site_s3_environment_file site_tracking_upstream
    site_tracking_api_upstream site_tracking_static_dir site_tracking_credentials_file site_tracking_allowed_hosts site_preflight_passed
    site_machine_missing site_serial site_backup_passphrase site_backup_s3_prefix site_metrics_dir site_lock_take_over site_default_permission
    site_users site_groups site_experiments site_registered_models site_permissions site_models
    site_cloud site_cloud_profile site_public_address site_server_id site_data_volume_id
"""
SEAMS = frozenset(_NAMES.split())


def unknown_variables(names: t.Iterable[str], options: t.Mapping[str, t.Iterable[str]]) -> list[str]:
    """Names with the prefix of a role, or `site_`, that are neither an option nor a seam.

    Args:
        names: all variables of a host.
        options: what each role accepts or publishes, by role.

    Returns:
        one sentence for each, with the nearest known name.
    """
    known = SEAMS.union(*options.values())
    # the longest prefix decides: object_store_server_x belongs to object_store_server
    prefixes = sorted([*(f"{role}_" for role in options), "site_"], key=len, reverse=True)
    problems = []
    for name in sorted(set(names) - known):
        if any(name.startswith(prefix) for prefix in prefixes):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            advice = f"Did you mean '{near[0]}'?" if near else "The roles' READMEs list them."
            problems.append(f"{name} is set: no such variable exists, and it would be ignored. Accepted: the variables of the roles and seams. {advice}")
    return problems
