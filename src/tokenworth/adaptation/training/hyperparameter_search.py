"""A search over learning rate, rank and steps on a validation part of the training texts, at stated cost.

Settings are drawn at random (Bergstra and Bengio 2012): the first trial is that of the settings as they are, so that
a search never ends below it on the validation part.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_settings import TRAINED
from tokenworth.base.aliases import Facts
from tokenworth.base.atomic_files import write_json
from tokenworth.base.cell_store import CellStore
from tokenworth.base.schema import FINITE, WHOLE, Shape, read_object
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.probes.label_set_metrics import value_of_scores
from tokenworth.probes.probability_metrics import LOWER_IS_BETTER

RATES = (1e-5, 1e-2)
"""Ends of the range of learning rates, searched on a logarithmic scale."""
RANKS = (4, 8, 16, 32, 64)
STEP_SHARES = (0.25, 0.5, 1.0)
TRIAL = "trial.json"

_log = logging.getLogger("tokenworth")


def candidates(config: ResolvedConfig, route: str, seed: int) -> list[ResolvedConfig]:
    """The settings of the trials."""
    from scipy.stats import loguniform
    from sklearn.model_selection import ParameterSampler

    steps = [max(1, round(config.steps * share)) for share in STEP_SHARES]
    ranks = {"rank": list(RANKS)} if route == "lora" and config.tuning == "lora" else {}
    space: dict[str, Any] = {"lr": loguniform(*RATES), "steps": steps, **ranks}
    plain = replace(config, tune=0, selection="last", patience=None, calibrate=False)
    drawn = ParameterSampler(space, n_iter=max(1, config.tune - 1), random_state=seed)
    return [plain, *(replace(plain, **{**draw, "lr": float(draw["lr"])}) for draw in drawn)][: config.tune]


@dataclass(frozen=True, slots=True)
class Trials(CellStore[Path | None, Facts, Facts]):
    """Trials of a run, each by the folder it works in; with a folder of None nothing is kept."""

    shape: dict[str, Shape]
    """Of what is kept of a trial."""
    writes: bool = True
    """Whether this process keeps what it finds: of those that share a run one, so that no two write one file."""

    def find(self, name: Path | None) -> Facts | None:
        """A trial that was run before; None also where what it left is damaged, so that it is run again."""
        if name is None or not (name / TRIAL).is_file():
            return None
        try:
            return read_object(name / TRIAL, self.shape, "trial", "it is run again")
        except TokenworthError as error:
            _log.warning("%s", error)
            return None

    def hold(self, name: Path | None) -> AbstractContextManager[Path]:
        """Nothing is held: the run as a whole is claimed."""
        return nullcontext(Path() if name is None else name)

    def keep(self, name: Path | None, result: Facts) -> Facts:
        """Beside the trial's own checkpoints."""
        if name is not None and self.writes:
            name.mkdir(parents=True, exist_ok=True)
            write_json(name / TRIAL, result, indent=None)
        return result


def tune(job: Job, fit: Callable[[Job], Fitted]) -> tuple[ResolvedConfig, list[Facts]]:
    """The best settings, and what every trial gave and took; finished trials are not run again.

    Raises SettingError: a route that has nothing to search over.
    """
    if job.route not in TRAINED:
        raise SettingError(f"tune searches over learning rate, rank and steps; the route {job.route} has none of them")
    metric, trials = job.config.metric, list[Facts]()
    numbers = dict.fromkeys(("lr", metric, "train_flops", "loop_seconds"), FINITE)
    store = Trials({**numbers, "rank": WHOLE, "steps": WHOLE}, job.devices.processes.is_main)
    for number, config in enumerate(candidates(job.config, job.route, job.seed)):
        folder = None if job.folder is None else job.folder / "tuning" / f"trial-{number}"
        trial = store.once(folder, partial(_trial, job, fit, config))
        trials.append(trial)
        settings = f"lr {trial['lr']:.1e}, rank {trial['rank']}, {trial['steps']:,} steps"
        _log.info("trial %d of %d: %s: %s %.3f", number + 1, job.config.tune, settings, metric, trial[metric])
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    best = max(trials, key=lambda trial: sign * trial[metric])
    return replace(job.config, tune=0, lr=best["lr"], rank=best["rank"], steps=best["steps"]), trials


def _trial(job: Job, fit: Callable[[Job], Fitted], config: ResolvedConfig, work: Path) -> Facts:
    part, folder = job.validation, None if job.folder is None else work
    assert part is not None, "a search has a validation part"
    fitted = fit(replace(job, config=config, folder=folder, validation_rows=job.validation_rows[:0], by_rule={}))
    return {
        "lr": config.lr,
        "rank": config.rank,
        "steps": config.steps,
        job.config.metric: value_of_scores(job.config.metric, part.labels, fitted.predictor.scores(part.texts)),
        "train_flops": fitted.cost["train_flops"],
        "loop_seconds": fitted.cost["loop_seconds"],
    }
