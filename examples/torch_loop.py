# SPDX-License-Identifier: GPL-3.0-or-later
"""A loop in plain PyTorch: parameters once, metrics by step, the model with an example of its input.

Metrics are sent in the background (`synchronous=False`), so that the loop does not wait for the network.
"""

from __future__ import annotations

import os

import mlflow
import torch
from sklearn.datasets import load_digits
from torch import nn

PARAMETERS = {"epochs": 5, "learning_rate": 0.01, "batch_size": 128, "hidden": 32}


def main() -> None:
    """Train a small network on 8 x 8 digits."""
    torch.manual_seed(0)
    digits = load_digits()
    features = torch.tensor(digits.data, dtype=torch.float32) / 16
    labels = torch.tensor(digits.target)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(features, labels), PARAMETERS["batch_size"], shuffle=True)
    model = nn.Sequential(nn.Linear(64, PARAMETERS["hidden"]), nn.ReLU(), nn.Linear(PARAMETERS["hidden"], 10))
    optimizer = torch.optim.Adam(model.parameters(), PARAMETERS["learning_rate"])

    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "examples"))
    with mlflow.start_run(run_name="torch loop") as run:
        mlflow.log_params(PARAMETERS)
        step = 0
        for epoch in range(PARAMETERS["epochs"]):
            for batch, wanted in loader:
                loss = nn.functional.cross_entropy(model(batch), wanted)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                mlflow.log_metric("loss", loss.item(), step=step, synchronous=False)
                step += 1
            with torch.no_grad():
                accuracy = (model(features).argmax(1) == labels).float().mean().item()
            mlflow.log_metric("accuracy", accuracy, step=epoch, synchronous=False)
        mlflow.flush_async_logging()
        mlflow.pytorch.log_model(model, name="model", input_example=features[:2].numpy())
    print(f"run {run.info.run_id}")


if __name__ == "__main__":
    main()
