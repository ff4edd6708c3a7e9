# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests with many points of metrics, as a sync of many jobs and `log_metrics` send them, in a third of MLflow's time.

MLflow 3.17 lets protobuf's JSON parser look at each point, and makes an object of its ORM for it: 1,000 points take it a tenth of a second of Python. Here what
is plainly right is read in one loop, and PostgreSQL gets the points as arrays in one statement. All else goes MLflow's own way, with its messages. The rules
are MLflow's: a point that is there already is one point, and the latest point of a metric is the greatest by step, then time, then value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import sqlalchemy
from mlflow.entities import Metric
from mlflow.protos.service_pb2 import LogBatch
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.validation import _validate_metric

# one statement, so that the arrays are written and read once; keys in one order, so that two requests for a run wait for each other, and not in a circle
WRITE = """
WITH point (key, value, timestamp, step, is_nan) AS (
  SELECT * FROM unnest(CAST(:keys AS text[]), CAST(:values AS float8[]), CAST(:times AS int8[]), CAST(:steps AS int8[]), CAST(:nans AS bool[]))
), written AS (
  INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan) SELECT :run, point.* FROM point ON CONFLICT DO NOTHING
)
INSERT INTO latest_metrics AS there (run_uuid, key, value, timestamp, step, is_nan)
SELECT DISTINCT ON (key) :run, point.* FROM point ORDER BY key, step DESC, timestamp DESC, value DESC
ON CONFLICT (run_uuid, key) DO UPDATE SET value = excluded.value, timestamp = excluded.timestamp, step = excluded.step, is_nan = excluded.is_nan
WHERE (excluded.step, excluded.timestamp, excluded.value) > (there.step, there.timestamp, there.value)
"""
FEWEST = 3  # below, MLflow's own way is as fast
INT64 = 2**63
NOT_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}  # as protobuf writes them in JSON


def is_int64(value: Any) -> bool:
    """Whether a value of JSON is a whole number that fits; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and -INT64 <= value < INT64


def plain_points(content: Any) -> list[tuple[str, float, int, int]] | None:
    """(key, value, time, step) of each point of a request; None where there are few, or one of them is not written in the plainest way."""
    metrics = content.get("metrics") if isinstance(content, dict) else None
    if not isinstance(metrics, list) or len(metrics) < FEWEST:
        return None
    found = []
    for metric in metrics:
        if not isinstance(metric, dict) or len(metric) != (4 if "step" in metric else 3):
            return None
        key, value, time, step = metric.get("key"), metric.get("value"), metric.get("timestamp"), metric.get("step", 0)
        if isinstance(value, str):
            value = NOT_NUMBERS.get(value)
        elif is_int64(value):
            value = float(value)
        elif isinstance(value, float) and not math.isfinite(value):
            return None
        if not (isinstance(value, float) and isinstance(key, str) and key.isprintable() and is_int64(time) and is_int64(step)):
            return None
        found.append((key, value, time, step))
    return found


def columns(run: str, metrics: list[Metric], sanitize: Callable[[float], tuple[bool, float]]) -> dict[str, Any]:
    """The points as arrays.

    Raises:
        MlflowException: one of them is not what MLflow accepts.
    """
    rows = []
    for number, metric in enumerate(metrics):
        _validate_metric(metric.key, metric.value, metric.timestamp, metric.step, path=f"metrics[{number}]")
        is_nan, value = sanitize(metric.value)
        rows.append((metric.key, float(value), metric.timestamp, metric.step, is_nan))
    return {"run": run} | dict(zip(("keys", "values", "times", "steps", "nans"), map(list, zip(*rows)), strict=True))


def install_reading(handlers: ModuleType) -> None:
    """For the requests of this process."""
    own = handlers.parse_dict

    def parse_dict(content: Any, message: Any) -> None:
        points = plain_points(content) if message.DESCRIPTOR is LogBatch.DESCRIPTOR else None
        if points is None:
            return own(content, message)
        own({name: value for name, value in content.items() if name != "metrics"}, message)
        add = message.metrics.add
        for key, value, time, step in points:
            add(key=key, value=value, timestamp=time, step=step)
        return None

    handlers.parse_dict = parse_dict


def install_writing() -> None:
    """For every store of this process whose database is PostgreSQL."""
    name = "_log_metrics_once" if hasattr(SqlAlchemyStore, "_log_metrics_once") else "_log_metrics"  # MLflow 3.15 does not repeat after a deadlock
    own = getattr(SqlAlchemyStore, name)
    statement = sqlalchemy.text(WRITE)

    def write(self: SqlAlchemyStore, run_id: str, metrics: list[Metric]) -> None:
        if len(metrics) < FEWEST or self.engine.dialect.name != "postgresql":
            return own(self, run_id, metrics)
        content = columns(run_id, metrics, self.sanitize_metric_value)
        with self.ManagedSessionMaker(read_only=False) as session:
            self._check_run_is_active(self._get_run(run_uuid=run_id, session=session))
            session.execute(statement, content)
        return None

    setattr(SqlAlchemyStore, name, write)


def install(handlers: ModuleType) -> None:
    """Both."""
    install_reading(handlers)
    install_writing()
