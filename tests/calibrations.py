"""Calibration cells with a known rule: what predictors are tested against."""

import numpy as np
import pandas as pd

from tokenworth.decision.calibration import COLUMNS
from tokenworth.decision.indicators import INDICATORS


def planted_cells(outcome, *, tasks=14, backbones=("one", "two"), routes=("lora",), steps=(100,), seeds=(0,), seed=0):
    """One row a cell; `outcome(row, rng)` is its F1."""
    rng, rows = np.random.default_rng(seed), []
    for task in range(tasks):
        for backbone in backbones:
            said = {name: float(rng.normal()) for name in INDICATORS}
            said |= {f"{name}_f1": float(rng.uniform(0.2, 0.95)) for name in ("probe", "bow", "cv", "knn")}
            said["majority_f1"] = 0.1
            for route in routes:
                for n in steps:
                    for one in seeds:
                        row = {"task": f"t{task:02d}", "backbone": backbone, "route": route, "seed": one, **said}
                        row |= {"steps": float(n), "log_epochs": 0.0, "log_rate": -7.0, "train_flops": 1e12}
                        row |= {"seconds": 60.0, "version": "0"}
                        rows.append({**row, "f1": float(np.clip(outcome(row, rng), 0, 1))})
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS))
