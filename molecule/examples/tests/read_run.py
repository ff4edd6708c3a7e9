# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server knows of a run, as JSON: usage: read_run.py RUN_ID, with the person's environment."""

import json
import sys

from mlflow.tracking import MlflowClient

client = MlflowClient()
run = client.get_run(sys.argv[1])


def files(folder: str = "") -> list[str]:
    """Every artifact below a folder."""
    found = client.list_artifacts(run.info.run_id, folder)
    return [name for entry in found for name in (files(entry.path) if entry.is_dir else [entry.path])]


children = client.search_runs([run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
print(
    json.dumps(
        {
            "status": run.info.status,
            "user": run.info.user_id,
            "params": run.data.params,
            "metrics": run.data.metrics,
            "points": {key: len(client.get_metric_history(run.info.run_id, key)) for key in run.data.metrics},
            "files": files(),
            "children": len(children),
            "models": [model.name for model in models],
        }
    )
)
