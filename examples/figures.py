# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures, images by step, tables, texts: what the pages of a run show without a download."""

from __future__ import annotations

import os

import matplotlib as mpl
import mlflow
import numpy as np
import pandas as pd
from PIL import Image

mpl.use("Agg")
from matplotlib import pyplot as plt

SIZE = 64


def main() -> None:
    """Log one of each kind."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "examples"))
    with mlflow.start_run(run_name="figures") as run:
        figure, axes = plt.subplots()
        axes.plot(np.linspace(0, 6, 100), np.sin(np.linspace(0, 6, 100)))
        axes.set(xlabel="t (s)", ylabel="u (V)", title="Signal")
        mlflow.log_figure(figure, "figures/signal.png")
        plt.close(figure)
        for step in range(3):  # the page has a slider for them
            wave = (np.sin(2 * np.pi * (rows * (step + 1) + columns)) * 127 + 128).astype(np.uint8)
            mlflow.log_image(wave, key="wave", step=step)
        gradient = np.stack([rows, columns, 1 - rows], axis=-1) * 255
        mlflow.log_image(Image.fromarray(gradient.astype(np.uint8)), "images/gradient.png")
        mlflow.log_table(pd.DataFrame({"sample": ["a", "b"], "mass_kg": [1.5, 2.25]}), "tables/samples.json")
        mlflow.log_dict({"detector": "north", "gain": 4}, "settings.yaml")
        mlflow.log_text("Cooled to 4 K before the run.\n", "notes.md")
    print(f"run {run.info.run_id}")


if __name__ == "__main__":
    main()
