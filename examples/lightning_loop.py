# SPDX-License-Identifier: GPL-3.0-or-later
"""Lightning with autolog: the trainer's metrics by epoch, its parameters and the model."""

from __future__ import annotations

import os

import lightning
import mlflow
import torch
from sklearn.datasets import load_digits
from torch import nn


class Digits(lightning.LightningModule):
    """A small network for 8 x 8 digits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Scores, shape (images, 10), of pixels, shape (images, 64)."""
        return self.layers(batch)

    def training_step(self, batch: list[torch.Tensor], _index: int) -> torch.Tensor:
        """The loss of one batch; `self.log` is all that autolog needs."""
        features, labels = batch
        scores = self(features)
        loss = nn.functional.cross_entropy(scores, labels)
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        self.log("train_accuracy", (scores.argmax(1) == labels).float().mean(), on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.parameters(), 0.01)


def main() -> None:
    """Train for three epochs."""
    lightning.seed_everything(0)
    digits = load_digits()
    data = torch.utils.data.TensorDataset(torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target))
    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "examples"))
    mlflow.pytorch.autolog(checkpoint=False)
    trainer = lightning.Trainer(max_epochs=3, accelerator="auto", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    with mlflow.start_run(run_name="lightning loop") as run:
        trainer.fit(Digits(), torch.utils.data.DataLoader(data, 128, shuffle=True))
    print(f"run {run.info.run_id}")


if __name__ == "__main__":
    main()
