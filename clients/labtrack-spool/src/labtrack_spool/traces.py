# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces. Their ids are chosen by the client, so that they are the same in the spool and on the server: sending one twice changes nothing."""

from __future__ import annotations

import base64
import json
import math
from datetime import datetime, timezone
from typing import Any

from labtrack_spool.context import Context, checksum
from labtrack_spool.state import Entry

SPANS_A_REQUEST = 500
LINKS_A_REQUEST = 100  # MAX_TRACE_LINKS_PER_REQUEST of MLflow 3.17
OF_THE_SERVER = ("mlflow.artifactLocation", "mlflow.trace.spansLocation", "mlflow.trace.infoFinalized")
TOKENS = ("input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
COSTS = ("input_cost", "output_cost", "total_cost")
STATUS = {"STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2, "OK": 1, "ERROR": 2}


def timestamp(milliseconds: int) -> str:
    """As JSON writes a protobuf Timestamp."""
    seconds, rest = divmod(int(milliseconds), 1000)
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + f".{rest:03d}Z"


def any_value(value: Any) -> dict[str, Any]:
    """A value of an attribute in OTLP's JSON."""
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)} if abs(value) < 2**63 else {"stringValue": str(value)}
    if isinstance(value, float):
        if math.isfinite(value):
            return {"doubleValue": value}
        return {"doubleValue": "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    return {"kvlistValue": {"values": [{"key": str(key), "value": any_value(item)} for key, item in value.items()]}}


def _hex(text: str | None) -> str:
    """Ids are kept in base64, or in hex with or without '0x' (MLflow 2)."""
    if not text:
        return ""
    if text.startswith("0x"):
        return text[2:]
    if len(text) in (16, 32) and all(letter in "0123456789abcdef" for letter in text):
        return text
    return base64.b64decode(text).hex()


def _decoded(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def _attributes(values: dict[str, Any] | None, decode: bool) -> list[dict[str, Any]]:
    found = []
    for key, value in (values or {}).items():
        found.append({"key": key, "value": any_value(_decoded(value) if decode else value)})
    return found


def otlp_span(span: dict[str, Any]) -> dict[str, Any]:
    """A span of MLflow's store in OTLP's JSON. Attributes are kept as JSON texts there; the server encodes them anew."""
    status = span.get("status") or {}
    code, message = (status.get("code"), status.get("message", "")) if isinstance(status, dict) else (status, span.get("status_message") or "")
    content = {
        "traceId": _hex(span.get("trace_id") or (span.get("context") or {}).get("trace_id")),
        "spanId": _hex(span.get("span_id") or (span.get("context") or {}).get("span_id")),
        "name": span["name"],
        "startTimeUnixNano": str(span.get("start_time_unix_nano") or span.get("start_time") or 0),
        "attributes": _attributes(span.get("attributes"), True),
        "status": {"code": STATUS.get(str(code), 0)} | ({"message": message} if message else {}),
    }
    end = span.get("end_time_unix_nano") or span.get("end_time")
    content |= {"endTimeUnixNano": str(end)} if end else {}
    parent = _hex(span.get("parent_span_id") or span.get("parent_id"))
    content |= {"parentSpanId": parent} if parent else {}
    events = []
    for event in span.get("events") or []:
        time = event.get("time_unix_nano") or event.get("timestamp") or 0
        events.append({"name": event["name"], "timeUnixNano": str(time), "attributes": _attributes(event.get("attributes"), False)})
    return content | ({"events": events} if events else {})


class Traces:
    """Sends traces."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def send(self, row: dict[str, Any]) -> None:
        """Send one trace, where it is new or changed."""
        context, trace = self.context, row["request_id"]
        experiment = context.ids.experiments.get(str(row["experiment_id"]))
        if experiment is None:
            return
        spans, assessments = self._spans(row), [self._assessment(each) for each in context.store.assessments(trace)]
        info = self._info(row, experiment)
        runs = [context.ids.runs[run] for run in context.store.trace_runs(trace) if run in context.ids.runs]
        entry = context.state.get("trace", trace)
        mark = json.dumps({"info": checksum(info), "spans": checksum(spans), "assessments": checksum(assessments), "runs": checksum(runs)})
        if entry.digest == mark:
            return
        before = json.loads(entry.digest or "{}")
        now = json.loads(mark)
        if spans and before.get("spans") != now["spans"]:
            self._send_spans(experiment, spans)
        info["assessments"] = [each for each in assessments if each]
        context.server.call("POST", "traces", {"trace": {"trace_info": info}}, version="3.0")
        for run in runs if before.get("runs") != now["runs"] else []:
            context.server.call("POST", "traces/link-to-run", {"trace_ids": [trace], "run_id": run})
        context.state.put("trace", trace, Entry(target=trace, digest=mark, done=1))
        if not before:
            context.findings.add("traces")

    def _send_spans(self, experiment: str, spans: list[dict[str, Any]]) -> None:
        for start in range(0, len(spans), SPANS_A_REQUEST):
            part = [otlp_span(span) for span in spans[start : start + SPANS_A_REQUEST]]
            content = {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": part}]}]}
            headers = {"Content-Type": "application/json", "x-mlflow-experiment-id": experiment}
            self.context.server.send("POST", "/v1/traces", body=json.dumps(content).encode(), headers=headers)

    def _spans(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        """From the store, or from the file where an older MLflow keeps them."""
        spans = self.context.store.spans(row["request_id"])
        if spans:
            return spans
        tags, _metadata = self.context.store.trace_data(row["request_id"])
        folder = self.context.paths.find(tags.get("mlflow.artifactLocation", ""))
        if folder is None or not (folder / "traces.json").is_file():
            return []
        return json.loads((folder / "traces.json").read_text(encoding="utf-8")).get("spans", [])

    def _info(self, row: dict[str, Any], experiment: str) -> dict[str, Any]:
        tags, metadata = self.context.store.trace_data(row["request_id"])
        tags = {key: self.context.ids.translate(value) for key, value in tags.items() if key not in OF_THE_SERVER}
        metadata = {key: self.context.ids.translate(value) for key, value in metadata.items() if key not in OF_THE_SERVER}
        # columns of newer schemas that the API shows as tags and metadata
        if row["trace_name"]:
            tags.setdefault("mlflow.traceName", row["trace_name"])
        if row["session_id"]:
            metadata.setdefault("mlflow.trace.session", row["session_id"])
        for key, names in (("mlflow.trace.tokenUsage", TOKENS), ("mlflow.trace.cost", COSTS)):
            values = {name: row[name] for name in names if row[name] is not None}
            if values:
                metadata.setdefault(key, json.dumps(values))
        info = {
            "trace_id": row["request_id"],
            "trace_location": {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}},
            "request_time": timestamp(row["timestamp_ms"]),
            "state": row["status"] if row["status"] in ("OK", "ERROR", "IN_PROGRESS") else "STATE_UNSPECIFIED",
            "trace_metadata": metadata,
            "tags": tags,
        }
        if row["execution_time_ms"] is not None:
            info["execution_duration"] = f"{row['execution_time_ms'] / 1000:.3f}s"
        return info | {name: row[name] for name in ("client_request_id", "request_preview", "response_preview") if row[name] is not None}

    def _assessment(self, row: dict[str, Any]) -> dict[str, Any]:
        content = {
            "assessment_id": row["assessment_id"],
            "assessment_name": row["name"],
            "source": {"source_type": row["source_type"], "source_id": row["source_id"] or ""},
            "create_time": timestamp(row["created_timestamp"]),
            "last_update_time": timestamp(row["last_updated_timestamp"]),
            "valid": bool(row["valid"]),
        }
        content |= {name: row[name] for name in ("span_id", "rationale", "overrides") if row[name]}
        if row["assessment_metadata"]:
            content["metadata"] = {key: self.context.ids.translate(str(value)) for key, value in json.loads(row["assessment_metadata"]).items()}
        value = json.loads(row["value"])
        if row["assessment_type"] == "feedback":
            content["feedback"] = {"value": value} | ({"error": json.loads(row["error"])} if row["error"] else {})
        elif row["assessment_type"] == "expectation":
            is_plain = value is None or isinstance(value, (str, bool, int, float))
            content["expectation"] = {"value": value} if is_plain else {"serialized_value": {"serialization_format": "JSON_FORMAT", "value": json.dumps(value)}}
        else:
            self.context.findings.note(f"an assessment of type '{row['assessment_type']}' is not sent")
            return {}
        return content
