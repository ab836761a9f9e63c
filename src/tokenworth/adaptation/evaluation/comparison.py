"""Runs on one task side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from tokenworth.adaptation.storage.adapt_result import NO_CLASS_NAME, AdaptResult
from tokenworth.errors import SettingError
from tokenworth.probes.label_set_metrics import ONLY_LABEL_SETS, paired_label_difference
from tokenworth.probes.metrics import NO_CLASS, mcnemar, paired_difference
from tokenworth.probes.probability_metrics import check_metric


def compare_results(results: dict[str, AdaptResult], *, metric: str = "weighted_f1") -> list[dict[str, Any]]:
    """One row a run, in the order given; the tests are against the first.

    Each row: run, route, backbone, seed, the metric with its interval, train_flops, seconds; and against the first
    run: f1_difference with its paired 95 % interval, only_this and only_first (texts that one alone gets right), and
    p_value of McNemar's exact test.

    Raises SettingError: the runs are on different tasks or labels, or the metric is unknown.
    """
    if metric not in ONLY_LABEL_SETS:
        check_metric(metric)
    first_name, first = next(iter(results.items()))
    for name, result in results.items():
        if result.task["fingerprint"] != first.task["fingerprint"]:
            raise SettingError(
                f"{name} is on {result.task['name']} and {first_name} on {first.task['name']} (or on other texts or "
                "splits of it); only runs on the same test texts can be compared"
            )
        same_labels = list(result.predictions["label"]) == list(first.predictions["label"])
        if result.task["label_names"] != first.task["label_names"] or not same_labels:
            raise SettingError(
                f"{name} and {first_name} name their classes or label their test texts in different ways, so one of "
                "the results was changed or damaged; run it again"
            )
        if metric not in result.metrics:
            raise SettingError(f"{name} holds no {metric}; run it again with this version, or choose another --metric")
    names = list(first.task["label_names"])
    places = _label_rows if first.several else _places
    true_N = places(first.predictions["label"], names)
    return [_row(name, result, first, true_N, names, metric) for name, result in results.items()]


def _row(
    name: str, result: AdaptResult, first: AdaptResult, true_N: Any, names: list[str], metric: str
) -> dict[str, Any]:
    if first.several:
        own_N, first_N = (_label_rows(run.predictions["predicted"], names) for run in (result, first))
        right = [(each == true_N).all(1).astype(np.int64) for each in (own_N, first_N)]
        only_this, only_first, p_value = mcnemar(np.ones(len(true_N), np.int64), *right)
        difference, low, high = paired_label_difference(true_N, own_N, first_N)
    else:
        own_N, first_N = (_places(run.predictions["predicted"], names) for run in (result, first))
        only_this, only_first, p_value = mcnemar(true_N, own_N, first_N)
        difference, low, high = paired_difference(true_N, own_N, first_N, len(names))
    return {
        "run": name,
        "route": result.made_by,
        "backbone": None if result.backbone is None else result.backbone["name"],
        "seed": result.seed,
        metric: result.metrics[metric],
        f"{metric}_low": result.metrics.get(f"{metric}_low"),
        f"{metric}_high": result.metrics.get(f"{metric}_high"),
        "train_flops": result.cost.get("train_flops", 0.0),
        "seconds": result.cost["seconds"],
        "f1_difference": difference,
        "f1_difference_low": low,
        "f1_difference_high": high,
        "only_this": only_this,
        "only_first": only_first,
        "p_value": p_value,
    }


def _places(column: pd.Series, names: list[str]) -> np.ndarray:
    place = {NO_CLASS_NAME: NO_CLASS} | {name: i for i, name in enumerate(names)}
    return np.array([place[name] for name in column], dtype=np.int64)


def _label_rows(column: pd.Series, names: list[str]) -> np.ndarray:
    """(N, C) 0 and 1 of lists of labels."""
    return np.array([[int(name in held) for name in names] for held in column], dtype=np.int64)
