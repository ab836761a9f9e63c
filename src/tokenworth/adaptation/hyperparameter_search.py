"""A search over learning rate, rank and steps on a validation part of the training texts, at stated cost.

Settings are drawn at random (Bergstra and Bengio 2012): the first trial is the protocol's own, so that a search never
ends below it on the validation part.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.route_settings import TRAINED, AdaptConfig
from tokenworth.base.atomic_files import write_text
from tokenworth.base.schema import FINITE, WHOLE, read_object
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.probes.probability_metrics import LOWER_IS_BETTER, metric_value, softmax

RATES = (1e-5, 1e-2)
"""Ends of the range of learning rates, searched on a logarithmic scale."""
RANKS = (4, 8, 16, 32, 64)
STEP_SHARES = (0.25, 0.5, 1.0)

_log = logging.getLogger("tokenworth")


def candidates(config: AdaptConfig, route: str, seed: int) -> list[AdaptConfig]:
    """The settings of the trials."""
    from scipy.stats import loguniform
    from sklearn.model_selection import ParameterSampler

    space: dict[str, Any] = {"lr": loguniform(*RATES), "steps": [max(1, round(config.steps * s)) for s in STEP_SHARES]}
    if route == "lora":
        space["rank"] = list(RANKS)
    plain = replace(config, tune=0, selection="last", calibrate=False)
    drawn = ParameterSampler(space, n_iter=max(1, config.tune - 1), random_state=seed)
    changed = [replace(plain, **{name: _plain(value) for name, value in draw.items()}) for draw in drawn]
    return [plain, *changed][: config.tune]


def tune(job: Job, fit: Callable[[Job], Fitted]) -> tuple[AdaptConfig, list[dict[str, Any]]]:
    """The best settings, and what every trial gave and took; finished trials are not run again.

    Raises:
        SettingError: a route that has nothing to search over.
    """
    if job.route not in TRAINED:
        raise SettingError(f"tune searches over learning rate, rank and steps; the route {job.route} has none of them")
    trials = []
    for number, config in enumerate(candidates(job.config, job.route, job.seed)):
        trials.append(_trial(job, fit, number, config))
        _log.info("trial %d of %d: %s", number + 1, job.config.tune, _in_words(trials[-1], job.config.metric))
    sign = -1.0 if job.config.metric in LOWER_IS_BETTER else 1.0
    best = max(trials, key=lambda trial: sign * trial[job.config.metric])
    chosen = {name: best[name] for name in ("lr", "rank", "steps")}
    return replace(job.config, tune=0, **chosen), trials


def _trial(job: Job, fit: Callable[[Job], Fitted], number: int, config: AdaptConfig) -> dict[str, Any]:
    folder = None if job.folder is None else job.folder / "tuning" / f"trial-{number}"
    done = None if folder is None else folder / "trial.json"
    if done is not None and (known := _finished(done, job.config.metric)) is not None:
        return known
    part = job.validation
    assert part is not None, "a search has a validation part"
    none = job.validation_rows[:0]
    fitted = fit(job.changed(config=config, folder=folder, validation_rows=none))
    value = metric_value(job.config.metric, part.labels, softmax(fitted.predictor.scores(part.texts)))
    trial = {
        "lr": config.lr,
        "rank": config.rank,
        "steps": config.steps,
        job.config.metric: value,
        "train_flops": fitted.cost["train_flops"],
        "loop_seconds": fitted.cost["loop_seconds"],
    }
    if done is not None:
        done.parent.mkdir(parents=True, exist_ok=True)
        write_text(done, json.dumps(trial))
    return trial


def _finished(path: Path, metric: str) -> dict[str, Any] | None:
    """A trial that was run before; None also where what it left is damaged, so that it is run again."""
    shape = {"lr": FINITE, "rank": WHOLE, "steps": WHOLE, metric: FINITE, "train_flops": FINITE, "loop_seconds": FINITE}
    try:
        return read_object(path, shape, "trial", "it is run again") if path.is_file() else None
    except TokenworthError as error:
        _log.warning("%s", error)
        return None


def _in_words(trial: dict[str, Any], metric: str) -> str:
    return f"lr {trial['lr']:.1e}, rank {trial['rank']}, {trial['steps']:,} steps: {metric} {trial[metric]:.3f}"


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
