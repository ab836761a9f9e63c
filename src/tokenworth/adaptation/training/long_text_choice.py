"""Which part of long texts a route reads, chosen on a validation part of the training texts, at stated cost.

Each way is a run of the route as it is set, on the texts that are not in that part; the cheapest of equals is taken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.training.hyperparameter_search import Trials
from tokenworth.base.aliases import LONG, Facts, Long
from tokenworth.base.schema import FINITE, WHOLE, Shape
from tokenworth.probes.label_set_metrics import value_of_scores
from tokenworth.probes.probability_metrics import LOWER_IS_BETTER

_log = logging.getLogger("tokenworth")


def choose_long(job: Job, fit: Callable[[Job], Fitted]) -> tuple[ResolvedConfig, dict[str, Any]]:
    """The settings with the way that was best, and what every way had; finished trials are not run again.

    Where no training text is longer than what is read, all ways are one, and the first is not compared with others.
    """
    metric, had = job.config.metric, dict[Long, float]()
    shape: dict[str, Shape] = {metric: FINITE, "train_flops": FINITE, "longer": WHOLE}
    store, flops = Trials(shape, job.devices.processes.is_main), 0.0
    for long in LONG:
        folder = None if job.folder is None else job.folder / "tuning" / f"long-{long}"
        trial = store.once(folder, partial(_trial, job, fit, long))
        had[long], flops = trial[metric], flops + trial["train_flops"]
        _log.info("long %s: %s %.3f", long, metric, trial[metric])
        if not trial["longer"]:
            break
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    best = max(had, key=lambda long: sign * had[long])
    facts = {"metric": metric, "texts": len(job.validation_rows), "had": had, "train_flops": flops}
    return replace(job.config, long=best), facts


def _trial(job: Job, fit: Callable[[Job], Fitted], long: Long, work: Path) -> Facts:
    part, folder = job.validation, None if job.folder is None else work
    assert part is not None, "a choice has a validation part"
    config = replace(job.config, long=long, tune=0, selection="last", patience=None, calibrate=False)
    fitted = fit(replace(job, config=config, folder=folder, validation_rows=job.validation_rows[:0]))
    return {
        job.config.metric: value_of_scores(job.config.metric, part.labels, fitted.predictor.scores(part.texts)),
        "train_flops": fitted.cost.get("train_flops", 0.0),
        "longer": fitted.read.longer,
    }
