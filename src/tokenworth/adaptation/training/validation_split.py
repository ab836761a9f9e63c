"""Which training texts a route learns from, and which are cut off for validation.  The test split is not touched."""

from __future__ import annotations

import numpy as np

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.base.aliases import Ints
from tokenworth.errors import SettingError, TaskError
from tokenworth.tasks import Task
from tokenworth.tasks.split import sample, split


def divide(task: Task, config: AdaptConfig, seed: int) -> tuple[Ints, Ints]:
    """Rows of the task's training texts to learn from and to validate on (often none), each in rising order.

    Raises:
        SettingError: train_size leaves fewer texts than classes.
        TaskError: too few texts to cut a validation part from.
    """
    labels_N = task.train.labels
    rows = np.arange(len(labels_N))
    if config.train_size is not None:
        if config.train_size < len(np.unique(labels_N)):
            raise SettingError(
                f"train_size {config.train_size} is less than a text for each of the {len(np.unique(labels_N))} classes"
            )
        rows = sample(labels_N, config.train_size, seed)
    if not config.needs_validation:
        return rows, rows[:0]
    groups = None if task.train.groups is None else task.train.groups[rows]
    kept, cut = split(labels_N[rows], config.validation_share, seed, groups)
    if not len(cut):
        raise TaskError(
            f"{task.name}: {len(rows):,} training texts are too few to cut a validation part of "
            f"{config.validation_share:g} from with two left in every class; choose selection last and no calibration, "
            "or bring more texts"
        )
    return rows[kept], rows[cut]
