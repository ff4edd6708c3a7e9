# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the same requests with many points twice, in MLflow's own way and in that of batches.py, and say what is in the database afterwards.

usage: PYTHONPATH=PROGRAMS batch_program.py FILE_WITH_THE_DATABASE_S_ADDRESS
"""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import batches
import sqlalchemy
from mlflow.server import app, handlers
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

OWN_PARSE = handlers.parse_dict
NAME = "_log_metrics_once" if hasattr(SqlAlchemyStore, "_log_metrics_once") else "_log_metrics"
OWN_WRITE = getattr(SqlAlchemyStore, NAME)
client = app.test_client()


def point(key, value, time, **more):
    return {"key": key, "value": value, "timestamp": time, **more}


# requests for one run, one after the other: what is right, what is odd, what MLflow refuses
PLAIN = [point(f"m{number % 7}", number * 0.1, 1_700_000_000_000 + number, step=number // 7) for number in range(997)]
REQUESTS = {
    "plain": {"metrics": PLAIN, "params": [{"key": "p", "value": "1"}], "tags": [{"key": "t", "value": "ü"}]},
    "again": {"metrics": PLAIN},
    "half new": {"metrics": [*PLAIN[500:], point("m1", 5, 9, step=9000), point("m2", 5, 9, step=-4), point("new", -1e-300, 0)]},
    "twice in one": {"metrics": [point("m1", 1.5, 3, step=2)] * 4},
    "same step": {"metrics": [point("s", value, 5, step=1) for value in (2.0, 7.0, -3.0)] + [point("s", 1.0, 6, step=1)]},
    "earlier": {"metrics": [point("s", value, 4, step=1) for value in (90.0, 91.0, 92.0)]},
    "no numbers": {"metrics": [point("n", value, 1, step=step) for step, value in enumerate(("NaN", "Infinity", "-Infinity", 1, "NaN"))]},
    "nan twice": {"metrics": [point("n", "NaN", 1, step=0), point("n", 0.0, 1, step=0), point("n", 0, 1, step=0)]},
    "largest": {"metrics": [point("l", value, 2**63 - 1, step=2**63 - 1) for value in (1e308, -1e308, 5e-324)]},
    "texts": {"metrics": [point("x", "1.5", "7", step="3"), point("x", 2, 8.0, step=4), point("x", 2, 9)]},
    "names": {"metrics": [point("a/b c.d-e_f:g", 1, 1), point("zürich", 1, 1), point("Z", 1, 1), point("z", 1, 1)]},
    "no step": {"metrics": [point("o", number, number) for number in range(4)]},
    "bad name": {"metrics": [*PLAIN[:3], point("a\\b", 1, 1)]},
    "control": {"metrics": [*PLAIN[:3], point("a\nb", 1, 1)]},
    "nul": {"metrics": [*PLAIN[:3], point("a\0b", 1, 1)]},
    "no value": {"metrics": [*PLAIN[:3], {"key": "k", "timestamp": 1}]},
    "null": {"metrics": [*PLAIN[:3], point("k", None, 1)]},
    "bool": {"metrics": [*PLAIN[:3], point("k", True, 1)]},
    "word": {"metrics": [*PLAIN[:3], point("k", "much", 1)]},
    "too large": {"metrics": [*PLAIN[:3], point("k", 10**400, 1)]},
    "late": {"metrics": [*PLAIN[:3], point("k", 1, 2**63)]},
    "negative": {"metrics": [*PLAIN[:3], point("k", 1, -1)]},
    "list": {"metrics": [*PLAIN[:3], ["k", 1, 1]]},
    "no list": {"metrics": {"key": "k"}},
    "too many": {"metrics": PLAIN + PLAIN[:4]},
    "long name": {"metrics": [*PLAIN[:3], point("k" * 251, 1, 1)]},
    "model": {"metrics": [*PLAIN[:3], point("k", 1, 1, model_id="m-1")]},
    "bad tag": {"metrics": [*PLAIN[:3], point("k", 2, 2)], "tags": [{"key": "", "value": "x"}]},
}


def call(path: str, body: dict) -> tuple[int, dict]:
    answer = client.post(f"/api/2.0/mlflow/{path}", json=body)
    return answer.status_code, answer.json


def choose(is_ours: bool) -> None:
    handlers.parse_dict, _ = OWN_PARSE, setattr(SqlAlchemyStore, NAME, OWN_WRITE)
    if is_ours:
        batches.install(handlers)


def rows(run: str) -> dict[str, list]:
    """What the database holds of it."""
    found = {}
    for kind in (SqlMetric, SqlLatestMetric, SqlParam, SqlTag):
        columns = [column for column in kind.__table__.columns if column.name != "run_uuid"]
        with handlers._get_tracking_store().engine.connect() as connection:
            found[kind.__tablename__] = sorted(map(repr, connection.execute(sqlalchemy.select(*columns).where(kind.run_uuid == run))))
    return found


def story(experiment: str, is_ours: bool) -> dict:
    """All requests to a new run."""
    choose(is_ours)
    run = call("runs/create", {"experiment_id": experiment, "start_time": 1, "run_name": "batch"})[1]["run"]["info"]["run_id"]
    answers = {}
    for name, content in REQUESTS.items():
        status, answer = call("runs/log-batch", {"run_id": run, **content})
        answers[name] = [status, json.dumps(answer).replace(run, "RUN")]
    call("runs/delete", {"run_id": run})
    answers["deleted"] = [call("runs/log-batch", {"run_id": run, "metrics": PLAIN[:5]})[0]]
    answers["unknown"] = [call("runs/log-batch", {"run_id": "0" * 32, "metrics": PLAIN[:5]})[0]]
    return {"answers": answers, **rows(run)}


def seconds(experiment: str, is_ours: bool) -> float:
    """CPU seconds of a request with 1,000 points."""
    choose(is_ours)
    used = []
    for _ in range(5):
        run = call("runs/create", {"experiment_id": experiment, "start_time": 1})[1]["run"]["info"]["run_id"]
        before = time.process_time()
        assert call("runs/log-batch", {"run_id": run, "metrics": PLAIN})[0] == 200
        used.append(time.process_time() - before)
    return sorted(used)[2]


def crowd(experiment: str) -> list:
    """Many at once for one run, in different orders: no deadlock, and the latest is the latest."""
    choose(True)
    run = call("runs/create", {"experiment_id": experiment, "start_time": 1})[1]["run"]["info"]["run_id"]

    def work(number: int) -> int:
        points = [point(f"m{key}", number, 1, step=step) for key in range(100) for step in (number, number + 20)]
        body = {"run_id": run, "metrics": points if number % 2 else points[::-1]}
        return app.test_client().post("/api/2.0/mlflow/runs/log-batch", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(work, range(40)))
    found = rows(run)
    return [sorted(statuses), len(found["metrics"]), found["latest_metrics"] == sorted(repr((f"m{key}", 39.0, 1, 59, False)) for key in range(100))]


def main() -> None:
    """Print the report."""
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = os.environ["_MLFLOW_SERVER_REGISTRY_STORE"] = Path(sys.argv[1]).read_text().strip()
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = "mlflow-artifacts:/"
    experiment = call("experiments/create", {"name": f"batches {time.time()}"})[1]["experiment_id"]
    own, ours = story(experiment, False), story(experiment, True)
    answers = {name: [own["answers"][name], answer] for name, answer in ours["answers"].items()}
    found = {
        "differences": {name: both for name, both in answers.items() if both[0] != both[1]},
        "statuses": {name: both[1][0] for name, both in answers.items()},
        "tables": {table: own[table] == ours[table] for table in ("metrics", "latest_metrics", "params", "tags")},
        "points": len(ours["metrics"]),
        "seconds": [seconds(experiment, False), seconds(experiment, True)],
        "crowd": crowd(experiment),
    }
    print(json.dumps(found))


main()
