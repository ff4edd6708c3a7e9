# SPDX-License-Identifier: GPL-3.0-or-later
"""A model that clients have put into the bucket themselves is served by the timer alone, from other places, with freedoms that others do not have."""

from __future__ import annotations

import json
import time

MACHINE = "lt-model-server-alternative"
testinfra_hosts = [f"docker://{MACHINE}"]
UV = "UV_SYSTEM_CERTS=1 UV_NATIVE_TLS=1 UV_CACHE_DIR=/opt/labtrack/uv/cache /opt/labtrack/uv/environment/bin/uv"
NAME = "Speaks out.loud"
PROGRAM = f"""
import os, sys, mlflow, numpy
sys.path.insert(0, "/opt")
import socket_client
socket_client.connect("/run/labtrack-mlflow-main/asgi.sock", "/var/lib/labtrack/mlflow/main/admin_credentials")
for line in open("/etc/lab/object_store/environment"):
    name, _, value = line.strip().partition("=")
    if name and not name.startswith("#"):
        os.environ[name] = value.strip('"')

class Greeter(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        import os, socket

        def seen(path):
            try:
                return path + " " + str(len(os.listdir(path)))
            except OSError as error:
                return path + " " + type(error).__name__

        places = ("/etc/lab", "/srv/state", "/srv/models/speaks")
        return [os.environ.get("GREETING", ""), ",".join(sorted(name for _, name in socket.if_nameindex())), str(os.getuid()), *map(seen, places)]

needs = ["mlflow-skinny==" + mlflow.__version__, "numpy", "pandas", "cloudpickle"]
with mlflow.start_run():
    info = mlflow.pyfunc.log_model(name="model", python_model=Greeter(), pip_requirements=needs)
version = mlflow.register_model(info.model_uri, "{NAME}").version
uri = mlflow.MlflowClient().get_model_version_download_uri("{NAME}", version)
assert uri.startswith("s3://"), uri
mlflow.MlflowClient().set_registered_model_alias("{NAME}", "live", version)
"""


def ask(host, path: str, body: dict | None = None) -> tuple[str, dict]:
    """Status and answer through the proxy, as the administrator."""
    login = host.check_output("sed -n 's/^mlflow_tracking_[a-z]* = //p' /var/lib/labtrack/mlflow/main/admin_credentials").split()
    data = f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'" if body else ""
    command = f"curl -s --cacert /etc/lab/tls/ca.pem --resolve models.alternative.test:443:127.0.0.1 -w '\\n%{{http_code}}' {data} -K -"
    text = host.check_output(f"{command} https://models.alternative.test/models/speaks{path} <<'E'\nuser = \"{':'.join(login)}\"\nE")
    answer, _, status = text.rpartition("\n")
    return status, json.loads(answer) if answer.startswith("{") else {}


def test_the_timer_serves_what_is_logged(host):
    assert ask(host, "/ping")[0] == "503"
    release = host.check_output("readlink /opt/labtrack/mlflow/main/current").rpartition("/")[2].partition("-")[0]
    host.check_output(f"{UV} venv --quiet --allow-existing --python /usr/bin/python3 /opt/try")
    host.check_output(f"{UV} pip install --quiet --python /opt/try/bin/python mlflow-skinny=={release} pandas boto3")
    host.check_output(f"/opt/try/bin/python - <<'E'\n{PROGRAM}\nE")
    end = time.monotonic() + 300
    while ask(host, "/ping")[0] != "200":
        assert time.monotonic() < end, host.check_output("journalctl --no-pager -n 40 -u labtrack-models.service")
        time.sleep(1)


def test_it_has_its_environment_and_the_network(host):
    status, found = ask(host, "/invocations", {"inputs": [1]})
    assert status == "200", found
    greeting, interfaces, number, *places = found["predictions"]
    assert greeting == '100 % "fine"'
    assert "eth0" in interfaces
    assert host.check_output("id -u lt-model-speaks") == number
    # neither the secrets nor the data of the other services
    assert places == ["/etc/lab PermissionError", "/srv/state PermissionError", "/srv/models/speaks 2"]


def test_everything_is_where_it_was_told_to_be(host):
    assert host.file("/srv/models/speaks/versions/1/model/MLmodel").is_file
    assert host.file("/srv/state/models/speaks/current.sock").linked_to == "/run/labtrack-models/speaks/1.sock"
    assert 'labtrack_model_up{model="speaks"} 1' in host.file("/srv/metrics/labtrack_models.prom").content_string
    shown = host.check_output("systemctl show -p MemoryMax -p MemoryDenyWriteExecute labtrack-model-speaks@1.service").splitlines()
    assert sorted(shown) == ["MemoryDenyWriteExecute=no", f"MemoryMax={700 * 1024 * 1024}"]
    assert host.check_output("systemctl show -P CPUQuotaPerSecUSec labtrack-model-speaks@1.service").startswith("1.5")


def test_a_request_above_the_limit_is_refused(host):
    host.check_output("head -c 1200000 /dev/zero | tr '\\0' 1 > /tmp/large")
    login = host.check_output("sed -n 's/^mlflow_tracking_[a-z]* = //p' /var/lib/labtrack/mlflow/main/admin_credentials").split()
    command = (
        "curl -s -o /dev/null -w '%{http_code}' --cacert /etc/lab/tls/ca.pem --resolve models.alternative.test:443:127.0.0.1 --data-binary @/tmp/large -K -"
    )
    assert host.check_output(f"{command} https://models.alternative.test/models/speaks/invocations <<'E'\nuser = \"{':'.join(login)}\"\nE") == "413"
