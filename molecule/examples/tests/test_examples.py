# SPDX-License-Identifier: GPL-3.0-or-later
"""Each example, run as ada runs it: with what her bundle says and nothing else; then what the server has of its run."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def test_every_example_is_tested():
    names = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".ipynb")}
    text = Path(__file__).read_text(encoding="utf-8")
    assert names and not [name for name in names if f'"{name}"' not in text]


def test_sklearn_autolog(example):
    known = example("sklearn_autolog.py", "python")
    assert known["children"] == 4 and known["metrics"]["test_accuracy"] > 0.85
    assert known["params"]["best_max_depth"] in ("2", "4") and "cv_results.csv" in known["files"] and "best_estimator" in known["models"]


def test_torch_loop(example):
    known = example("torch_loop.py", "python")
    assert known["points"] == {"loss": 75, "accuracy": 5} and known["metrics"]["accuracy"] > 0.8
    assert known["params"]["batch_size"] == "128" and known["models"] == ["model"]


def test_lightning_loop(example):
    known = example("lightning_loop.py", "python")
    assert known["points"]["train_loss"] == 3 and known["metrics"]["train_accuracy"] > 0.8
    assert known["params"]["optimizer_name"] == "Adam" and known["models"]


def test_figures(example):
    known = example("figures.py", "python")
    assert {"figures/signal.png", "images/gradient.png", "tables/samples.json", "settings.yaml", "notes.md"} <= set(known["files"])
    # the client's own separator, `+` or `%`, is for MLflow's page
    steps = {match[1] for name in known["files"] if (match := re.match(r"images/wave[+%]step[+%](\d+)[+%]", name))}
    assert steps == {"0", "1", "2"}, known["files"]


def test_model_registry(example, environment, programs):
    known = example("model_registry.py", "python")
    assert sorted(known["models"]) == ["loose", "strict"]
    ask = "from mlflow.tracking import MlflowClient as C; v = C().get_model_version_by_alias('examples-iris', 'champion'); print(v.version, v.tags['accuracy'])"
    said = subprocess.run([str(programs / "python"), "-c", ask], env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert said[0] == "2" and float(said[1]) > 0.9


def test_ddp_has_one_run(example):
    known = example("ddp.py", "torchrun", "--nproc-per-node=2")
    assert known["params"] == {"epochs": "3", "ranks": "2"} and known["points"] == {"loss": 3}


def test_notebook(example, tmp_path):
    known = example("notebook.ipynb", "jupyter", "execute", f"--output={tmp_path / 'done.ipynb'}")
    assert known["metrics"]["velocity_m_per_s"] == pytest.approx(2.5, abs=0.1) and known["files"] == ["fit.png"]


def test_all_lie_in_one_experiment(environment, programs):
    ask = "import mlflow; print(sorted(mlflow.search_runs(experiment_names=['examples'])['tags.mlflow.runName'].dropna().unique()))"
    said = subprocess.run([str(programs / "python"), "-c", ask], env=environment, capture_output=True, text=True, check=True).stdout
    for name in ("sklearn autolog", "torch loop", "lightning loop", "figures", "model registry", "ddp", "notebook"):
        assert f"'{name}'" in said, said
