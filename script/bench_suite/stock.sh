#!/bin/bash
# MLflow as its documentation starts it: Debian's PostgreSQL with a password, `mlflow server` with its defaults. No login, no TLS, no proxy.
# stock.sh DIRECTORY   (with requirements.txt and uv.txt)
# The versions are those of the site; the packages that MLflow does not ask for itself are left out.
set -euo pipefail
cd "$1"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql python3-venv >/dev/null
python3 -m venv uv && uv/bin/pip install -q --disable-pip-version-check --require-hashes -r uv.txt
UV_SYSTEM_CERTS=1 UV_PYTHON_DOWNLOADS=never uv/bin/uv venv -q --python /usr/bin/python3 mlflow
UV_SYSTEM_CERTS=1 uv/bin/uv pip sync -q --require-hashes --python mlflow/bin/python requirements.txt
uv/bin/uv pip uninstall -q --python mlflow/bin/python uvloop httptools uvicorn-worker
systemctl start postgresql
runuser -u postgres -- psql -q -c "create role mlflow login password 'stock'" -c "create database mlflow owner mlflow"
systemd-run --quiet --unit=stock-mlflow --property=WorkingDirectory="$PWD" --setenv=PATH="$PWD/mlflow/bin:/usr/bin:/bin" \
  mlflow/bin/mlflow server --host 0.0.0.0 --port 5000 --backend-store-uri postgresql+psycopg2://mlflow:stock@localhost/mlflow
