#!/bin/bash
# The measured site again, by a bare shell script: the same packages, lock file, cluster, databases, services; the finished configuration
# is simply unpacked. Does nothing twice, checks nothing, can be run once. `cold.sh DIRECTORY MEASURED_ADDRESS OWN_ADDRESS`, with in the directory
#   packages (names), configuration.tar (of the measured site), units (that are to run), requirements.txt, uv.txt, bootstrap.sh (of Ceph)
set -euo pipefail
cd "$1"
measured=$2 own=$3
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
state=/var/lib/labtrack program=/opt/labtrack/mlflow/main config=/etc/labtrack
step() { printf '%s %s\n' "$(date +%s.%N)" "$1"; }

answers() { # answers URL [AUTHORIZATION]: wait until it does
  python3 - "$@" <<'PYTHON'
import ssl, sys, time, urllib.request
context = ssl.create_default_context(cafile="/etc/labtrack/tls/ca.pem")
for attempt in range(600):
    try:
        urllib.request.urlopen(urllib.request.Request(sys.argv[1], headers=dict(zip(["Authorization"], sys.argv[2:]))), context=context)
        sys.exit()
    except OSError as error:
        problem = error
        time.sleep(0.2)
sys.exit(f"no answer: {problem}")
PYTHON
}

step packages
mkdir -p /etc/postgresql-common/createcluster.d
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/labtrack.conf
apt-get update -qq
xargs apt-get install -y -qq --no-install-recommends <packages >/dev/null
useradd --system --home-dir $state/mlflow/main --no-create-home --shell /usr/sbin/nologin mlflow

step configuration
version=$(ls /usr/lib/postgresql)
pg_createcluster --datadir=$state/postgresql/"$version"/labtrack "$version" labtrack -- --auth-local=peer --locale=C.UTF-8 --encoding=UTF8 --data-checksums >/dev/null
tar -C / -xf configuration.tar
grep -rlF "$measured" /etc/labtrack /etc/nginx /etc/ceph /etc/systemd/system | xargs -r sed -i "s/$measured/$own/g"
systemctl daemon-reload

step certificate
tls=$config/tls
key() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc "$@" 2>/dev/null; }
key -x509 -days 3650 -subj "/CN=CA" -addext keyUsage=critical,keyCertSign,cRLSign -keyout ca.key -out $tls/ca.pem
key -subj "/CN=$own" -keyout $tls/privkey.pem -out server.req
printf 'subjectAltName=IP:%s,IP:127.0.0.1,DNS:localhost\nauthorityKeyIdentifier=keyid\nsubjectKeyIdentifier=hash\n' "$own" >server.ext
openssl x509 -req -days 397 -in server.req -CA $tls/ca.pem -CAkey ca.key -extfile server.ext -out $tls/fullchain.pem 2>/dev/null
chgrp ssl-cert $tls/privkey.pem
chmod 0640 $tls/privkey.pem

step store
install -d -o ceph -g ceph -m 0750 $state/object_store_server{,/mon,/mgr,/osd,/rgw}
./bootstrap.sh $state/object_store_server 20
systemctl start ceph-mgr@main ceph-osd@0 ceph-radosgw@rgw.main
set -a
# shellcheck source=/dev/null
. $config/object_store/environment
set +a
store=https://localhost:7443
answers "$store/"
radosgw-admin user create --uid=mlflow --display-name=MLflow --access-key="$AWS_ACCESS_KEY_ID" --secret-key="$AWS_SECRET_ACCESS_KEY" >/dev/null

step database
systemctl start postgresql@"$version"-labtrack
runuser -u postgres -- psql -q -c 'create role mlflowdb login' -c 'create database mlflowdb owner mlflowdb template template0' \
  -c 'create database mlflowauth owner mlflowdb template template0' -c 'create extension pg_stat_statements'

step mlflow
export UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never MLFLOW_DISABLE_TELEMETRY=true PIP_DISABLE_PIP_VERSION_CHECK=1
release=$(readlink -f $program/current)
mkdir -p "$release" /opt/labtrack/uv
python3 -m venv /opt/labtrack/uv/environment
/opt/labtrack/uv/environment/bin/pip install -q --require-hashes --only-binary :all: -r uv.txt
uv=/opt/labtrack/uv/environment/bin/uv
mv "$release/server" server
$uv venv -q --clear --python /usr/bin/python3 "$release"
$uv pip install -q --require-hashes --only-binary :all: --python "$release/bin/python" -r requirements.txt
mv server "$release/server"
ln -s "$(cd "$release" && echo lib/python3*/site-packages/mlflow/server/js/build)" "$release/static"
# as root, so that the compiled files are kept: the service may not write them
"$release/bin/python" -c 'import mlflow.server.auth, mlflow.server.fastapi_app, mlflow.store.artifact.s3_artifact_repo, gunicorn.app.wsgiapp, uvicorn_worker, uvloop, psycopg2'

step bucket
AWS_CA_BUNDLE=$tls/ca.pem "$release/bin/python" -c 'import boto3, sys
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
s3.create_bucket(Bucket="bench-mlflow")
s3.put_bucket_versioning(Bucket="bench-mlflow", VersioningConfiguration={"Status": "Enabled"})' $store

step schema
uri() { printf 'postgresql+psycopg2://mlflowdb@/%s?host=/var/run/postgresql' "$1"; }
password=$(openssl rand -hex 16)
printf '{"tracking_uri": "%s", "auth_uri": "%s", "admin_username": "admin", "admin_password": "%s"}' "$(uri mlflowdb)" "$(uri mlflowauth)" "$password" |
  runuser -u mlflow -- env -C / HOME=/nonexistent "$release/bin/python" "$release/server/database.py" initialise >/dev/null

step services
xargs systemctl start <units
systemctl reload nginx # runs since its package came, with Debian's configuration
answers "https://$own/api/2.0/mlflow/experiments/search?max_results=1" "Basic $(printf 'admin:%s' "$password" | base64 -w0)"
step end
