# SPDX-License-Identifier: GPL-3.0-or-later
"""Training on several ranks, where one of them logs.

usage: torchrun --nproc-per-node=2 ddp.py     on several nodes as torchrun or srun start it

Every rank takes part in the reduction of a metric; rank 0 alone has a run. A run for each rank would mean thousands of requests that say the same.
"""

from __future__ import annotations

import contextlib
import os

import mlflow
import torch
from sklearn.datasets import load_digits
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

EPOCHS = 3


def mean(value: float) -> float:
    """The mean over all ranks."""
    total = torch.tensor(value)
    distributed.all_reduce(total)
    return total.item() / distributed.get_world_size()


def main() -> None:
    """Train a small network on 8 x 8 digits, on CPUs."""
    distributed.init_process_group("gloo")
    logs = distributed.get_rank() == 0
    torch.manual_seed(0)
    digits = load_digits()
    data = TensorDataset(torch.tensor(digits.data, dtype=torch.float32) / 16, torch.tensor(digits.target))
    sampler = DistributedSampler(data)
    loader = DataLoader(data, 64, sampler=sampler)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)

    if logs:
        mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "examples"))
    with mlflow.start_run(run_name="ddp") if logs else contextlib.nullcontext() as run:
        if logs:
            mlflow.log_params({"epochs": EPOCHS, "ranks": distributed.get_world_size()})
        for epoch in range(EPOCHS):
            sampler.set_epoch(epoch)
            losses = []
            for batch, wanted in loader:
                loss = nn.functional.cross_entropy(model(batch), wanted)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            average = mean(sum(losses) / len(losses))
            if logs:
                mlflow.log_metric("loss", average, step=epoch)
    distributed.destroy_process_group()
    if logs:
        print(f"run {run.info.run_id}")


if __name__ == "__main__":
    main()
