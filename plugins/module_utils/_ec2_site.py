# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules ec2_credential and ec2_credential_info do, without Ansible."""

from __future__ import annotations

import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_credential import Keeper
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_plan import Planner
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_record import Record
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_store import Store
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_arguments import connect_arguments
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_keys import Key, Keystone
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_login import Login
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError, explain
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import connect
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import Reader, StoreError
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_messages import explain as explain_store

Params = dict[str, t.Any]
# the keys cannot be listed, yet a recorded one can be tried
BLIND = ("delegated", "forbidden", "no_s3")
RESTRICTED = "The login is a restricted application credential; most clouds let none make a key. Whether this one does, only the request itself can tell."


class Cloud:
    """A login, and the keys it sees; parts can be replaced in tests."""

    def __init__(self, params: Params, patience: Patience | None = None, login: t.Any = connect, reader: t.Any = Reader) -> None:
        self.params, self.reader = params, reader
        self.patience = patience or Patience(params["timeout"])
        self.login: Login
        self.login, transport = login(connect_arguments(params), self.patience, (params["sdk_log_path"], params["sdk_log_level"]))
        self.keystone = Keystone(transport, self.login, self.patience)

    def look(self) -> tuple[dict[str, Key] | None, CloudError | None]:
        """The keys, or why they cannot be listed.

        Raises:
            CloudError: the cloud does not answer, or the login has ended.
        """
        try:
            return self.keystone.keys(), None
        except CloudError as error:
            if error.reason not in BLIND:
                raise
            return None, error

    def store(self, recorded: str = "") -> Store:
        """The store that is asked for, recorded, or in the catalogue.

        Raises:
            CloudError: none of them.
        """
        found = [self.params["s3_endpoint"], recorded, *self.login.s3_endpoints(self.params["interface"])]
        endpoint = next((url for url in found if url), "")
        if not endpoint:
            where = f" of region {self.login.region}" if self.login.region else ""
            raise CloudError("no_s3", f"the catalogue{where} names no object store" if self.login.catalog else "the catalogue is empty")
        return Store(endpoint, self.params["s3_region"], self.params["s3_ca_file"], self.patience, self.reader)

    def facts(self) -> Params:
        """How the login was made, and when it ends."""
        return self.login.facts(*self.keystone.application_credential_end())


def check_arguments(params: Params) -> None:
    """What states need.

    Raises:
        CloudError: an option is missing.
    """
    needs = {"present": ("path", "return_secret"), "rotated": ("path",), "retired": ("path",), "absent": ("path", "access_key")}[params["state"]]
    if not any(params[name] for name in needs):
        raise CloudError("arguments", " or ".join(needs))


def manage(params: Params, check_mode: bool, **parts: t.Any) -> Params:
    """Result of the module C(ec2_credential).

    Raises:
        CloudError: no key.
        StoreError: the store cannot be used.
    """
    check_arguments(params)
    with Record(params["path"]).locked() as record:
        cloud = Cloud(params, **parts)
        listed, refused = cloud.look()
        planner = Planner(record, cloud.login, listed, refused, params["access_key"], params["foreign_access_keys"])
        store = Store("", "", "", cloud.patience)
        if params["state"] != "absent":
            store = cloud.store(record.data.get("s3_endpoint", ""))
            planner.where = (store.endpoint, store.region)
        before, steps = record.view(), planner.plan(params["state"])
        keeper = Keeper(cloud.keystone, store, record, planner)
        after = planner.preview(steps)
        keeper.run(steps, check_mode)
        after = after if check_mode else record.view()
        access = after["access_key"] or ("" if params["state"] == "absent" else params["access_key"])
        if check_mode and ("create", "") in steps and cloud.login.restricted:
            keeper.warnings.append(RESTRICTED)
        login = cloud.login
        result = {
            "changed": bool(keeper.done),
            "done": keeper.done,
            "warnings": keeper.warnings,
            "access_key": access,
            "previous_access_key": after["previous_access_key"],
            "s3_endpoint": store.endpoint,
            "s3_region": store.region,
            "user_id": login.user_id,
            "project_id": login.project_id,
            "project_name": login.project_name,
            "diff": {"before": before, "after": after},
        }
        if params["return_secret"] and access and not (check_mode and keeper.done):
            result["secret_key"] = keeper.secret(access)
        return result


def inspect(params: Params, **parts: t.Any) -> Params:
    """Result of the module C(ec2_credential_info).

    Raises:
        CloudError: no login.
    """
    cloud = Cloud(params, **parts)
    listed, refused = cloud.look()
    found = [{"access_key": key.access, "project_id": key.project_id, "user_id": key.user_id, "trust_id": key.trust_id} for key in (listed or {}).values()]
    for item in found if params["return_secrets"] else []:
        item["secret_key"] = (listed or {})[item["access_key"]].secret
    return {
        "changed": False,
        "credentials": found,
        "listable": refused is None,
        "reason": refused.reason if refused else "",
        "message": explain(refused, params) if refused else "",
        "login": cloud.facts(),
        "s3_endpoints": cloud.login.s3_endpoints(params["interface"]),
    }


def failure(error: CloudError | StoreError, params: Params) -> Params:
    """What the module says of an error: message, reason, and for a store what is wrong with it."""
    if isinstance(error, CloudError):
        return {"msg": explain(error, params), "reason": error.reason, "kind": ""}
    own = {"endpoint": "s3_endpoint", "region": "s3_region", "ca_file": "s3_ca_file"}
    names = params.get("variable_names") or {}
    values = {name: str(params.get(option) or "") for name, option in own.items()}
    message = explain_store(error.kind, error.detail, values, {name: names.get(option, option) for name, option in own.items()})
    return {"msg": message, "reason": "store", "kind": error.kind}
