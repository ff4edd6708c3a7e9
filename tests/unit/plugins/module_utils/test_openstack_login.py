# SPDX-License-Identifier: GPL-3.0-or-later
"""What a token says about a login; options and messages."""

from __future__ import annotations

import string

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_arguments import CLOUD, connect_arguments, hide
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_login import Login, identity_url, refused_scope
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import MESSAGES, CloudError, explain
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import LONGEST_SECONDS, Patience
from plugins.fake_cloud import CATALOG, ENDPOINT, TOKEN, Clock, app_token


def login(token=TOKEN, region=""):
    return Login.from_token("https://id.cloud.test:5000", token, region)


@pytest.mark.parametrize(
    "url", ["https://id.test:5000", "https://id.test:5000/", "https://id.test:5000/v3", "https://id.test:5000/v3/", "https://id.test:5000/v2.0",
            "https://id.test:5000/v3/auth/tokens"],
)  # fmt: skip
def test_address_of_the_api(url):
    assert identity_url(url) == "https://id.test:5000/v3"


def test_address_below_a_path():
    assert identity_url("https://cloud.test/identity") == "https://cloud.test/identity/v3"
    assert identity_url("https://v3.cloud.test/identity/v3") == "https://v3.cloud.test/identity/v3"


def test_a_password_login():
    found = login()
    assert (found.user_id, found.project_id, found.url) == ("user-1", "project-1", "https://id.cloud.test:5000/v3")
    assert not found.is_application_credential and found.restricted is None


@pytest.mark.parametrize("restricted", [True, False])
def test_an_application_credential(restricted):
    found = login(app_token(restricted))
    assert found.is_application_credential and found.restricted is restricted
    assert found.facts("2027-01-01T00:00:00", True)["application_credential_name"] == "labtrack"


def test_a_token_made_with_one_is_one_too():
    assert login({**TOKEN, "methods": ["token", "application_credential"]}).is_application_credential


@pytest.mark.parametrize("token", [{**TOKEN, "project": None}, {name: value for name, value in TOKEN.items() if name != "project"}])
def test_a_login_without_project(token):
    with pytest.raises(CloudError) as error:
        login(token)
    assert error.value.reason == "no_project"


def test_region_is_compared_with_the_catalogue():
    assert login(region="RegionOne").region == "RegionOne"
    with pytest.raises(CloudError) as error:
        login(region="regionOne")
    message = explain(error.value, {"region_name": "regionOne"})
    assert message.startswith("region_name is 'regionOne'") and "one of RegionOne" in message


def test_without_catalogue_any_region_will_do():
    assert login({**TOKEN, "catalog": []}, "regionOne").region == "regionOne"


def test_store_of_the_catalogue():
    assert login().s3_endpoints("public") == [ENDPOINT]
    assert login().s3_endpoints("internal") == ["http://10.0.0.1:8080"]
    assert login().s3_endpoints("admin") == []
    assert login({**TOKEN, "catalog": None}).s3_endpoints("public") == []


def test_an_s3_service_goes_first_and_keeps_its_path():
    service = {"type": "s3", "endpoints": [{"interface": "public", "region": "RegionOne", "url": "https://a.test/s3/"}]}
    assert login({**TOKEN, "catalog": [*CATALOG, service]}).s3_endpoints("public") == ["https://a.test/s3", ENDPOINT]


def test_store_of_another_region_is_not_taken():
    far = {"type": "s3", "endpoints": [{"interface": "public", "region_id": "Far", "url": "https://far.test"}]}
    assert login({**TOKEN, "catalog": [*CATALOG, far]}, "RegionOne").s3_endpoints("public") == [ENDPOINT]


def test_scope_beside_an_application_credential():
    auth = {"application_credential_id": "a", "application_credential_secret": "s", "project_name": "lab", "user_domain_name": "Default"}
    assert refused_scope(auth) == ["project_name"]
    assert refused_scope({"username": "u", "project_name": "lab"}) == []


def test_options_reach_the_sdk_by_its_names():
    params = {**dict.fromkeys(CLOUD), "cloud": "lab", "interface": "internal", "validate_certs": False, "ca_cert": "/ca.pem", "client_key": "/k"}
    found = connect_arguments(params)
    assert found["cloud"] == "lab" and found["verify"] is False and found["cacert"] == "/ca.pem" and found["key"] == "/k"
    assert found["interface"] == "internal" and found["auth"] is None


@pytest.mark.parametrize(("beside", "named"), [({"region_name": "x"}, "region_name"), ({"interface": "admin"}, "interface"), ({"auth": {}}, "auth")])
def test_a_whole_configuration_stands_alone(beside, named):
    params = {**dict.fromkeys(CLOUD), "cloud": {"auth": {"password": "p"}}, "interface": "public"}
    assert connect_arguments(params) == {"auth": {"password": "p"}}
    with pytest.raises(CloudError) as error:
        connect_arguments({**params, **beside})
    assert error.value.reason == "cloud_options" and error.value.detail == named


def test_only_the_secrets_of_a_login_are_hidden():
    auth = {"username": "u", "password": "p", "application_credential_secret": "s", "token": "t", "project_name": "lab", "trust_id": None}
    for params in ({"cloud": {"auth": auth}, "auth": None}, {"cloud": "c", "auth": auth}):
        hidden = {"u", "p", "lab", "/path/of/client/key"}
        hide(params, hidden)
        assert hidden == {"p", "s", "t", "/path/of/client/key"}
    same = {"same"}
    hide({"cloud": None, "auth": {"username": "same", "password": "same"}}, same)
    assert same == {"same"}


@pytest.mark.parametrize("reason", MESSAGES)
def test_every_message_has_its_parts(reason):
    error = CloudError(reason, "the detail")
    params = {"cloud": {"auth": {"password": "hidden"}}, "auth": {"password": "hidden"}, "path": "/x", "s3_endpoint": ENDPOINT, "timeout": 60}
    message = explain(error, params)
    assert ". Accepted: " in message and message.endswith(".") and "hidden" not in message
    fields = {name for part in MESSAGES[reason] for _text, name, _spec, _conversion in string.Formatter().parse(part) if name}
    assert fields <= {"detail", "known", "keys", "unrestricted"}


def test_messages_use_the_names_of_the_inventory():
    names = {"path": "site_s3_record", "secret_key": "my_secret"}
    assert explain(CloudError("record", "x"), {"path": "/x", "variable_names": names}).startswith("site_s3_record is '/x'")
    assert "as site_s3_access_key and my_secret" in explain(CloudError("delegated", "x"), {"variable_names": names})


def test_pauses_grow_and_end():
    clock = Clock()
    patience = Patience(60, clock.now, clock.sleep)
    while patience.again():
        pass
    assert clock.slept == [0.5, 1, 2, 4, 8, 15, 15] and max(clock.slept) <= LONGEST_SECONDS
    patience.grace(10)
    assert patience.fresh().again() and clock.slept[-1] == 0.5 and not patience.again()


def test_a_server_may_ask_for_longer_pauses_but_not_for_more_than_there_is():
    clock = Clock()
    patience = Patience(60, clock.now, clock.sleep)
    assert patience.again(30) and clock.slept == [30]
    assert not patience.again(31) and clock.slept == [30]
