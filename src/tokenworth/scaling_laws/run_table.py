"""Finished runs as a table of numbers: what scaling laws are fitted to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tokenworth.base.aliases import Floats
from tokenworth.errors import SettingError, TaskError
from tokenworth.pretraining.pretrain_result import PretrainRun
from tokenworth.tasks.table_files import read_table


def read_runs(path: str | Path) -> pd.DataFrame:
    """Runs from a .csv, .tsv, .jsonl or .parquet file with columns parameters, tokens, loss (nats) and perhaps flops.

    Or from a folder of finished pretraining runs: all their parameters, FLOPs as counted, and the loss on the first of
    their held-out sources.

    Raises:
        SettingError: it cannot be read, a column is missing, or a value is not positive.
    """
    if Path(path).is_dir():
        return _finished_runs(Path(path))
    try:
        table = read_table(path)
    except TaskError as error:
        raise SettingError(f"{path} cannot be read as a table of runs ({error})") from error
    return run_numbers(pd.DataFrame(table.columns), str(path))


def run_numbers(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """The columns a fit reads, as float64 whatever they were (Decimal, text, integers beyond 64 bits).

    Raises:
        SettingError: a column is missing, or a value is not a finite number above 0.
    """
    columns = ["parameters", "tokens", "loss", *(["flops"] if "flops" in table else [])]
    numbers: dict[str, Floats] = {}
    for name in columns:
        if name not in table:
            raise SettingError(f"{source} has no column {name}; it has {', '.join(list(map(str, table.columns))[:20])}")
        numbers[name] = np.array([_number(value) for value in table[name]], dtype=np.float64)
        wrong = np.flatnonzero(~((numbers[name] > 0) & np.isfinite(numbers[name])))
        if len(wrong):
            value = str(table[name].iloc[wrong[0]])[:40] or "empty"
            raise SettingError(f"{source}, row {wrong[0] + 1}: {name} must be above 0, not {value}")
    numbers.setdefault("flops", 6.0 * numbers["parameters"] * numbers["tokens"])
    return pd.DataFrame(numbers)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def _finished_runs(folder: Path) -> pd.DataFrame:
    runs = (PretrainRun.load(place.parent) for place in sorted(folder.glob("*/run.json")))
    rows = [
        {
            "parameters": run.parameters["total"],
            "tokens": run.tokens,
            "loss": next(iter(run.held_out.values()))["nll"],
            "flops": run.train_flops_per_token * run.tokens,
        }
        for run in runs
        if run.finished and run.held_out
    ]
    if not rows:
        raise SettingError(f"{folder} holds no finished pretraining runs (no */run.json that is finished)")
    return pd.DataFrame(rows)
