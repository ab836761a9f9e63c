"""Which training texts a route learns from, and which are cut off for validation.  The test split is not touched."""

from __future__ import annotations

import numpy as np

from tokenworth.adaptation.recommended_settings import TaskSize
from tokenworth.adaptation.resolved_settings import ResolvedConfig
from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.base.aliases import Ints
from tokenworth.errors import SettingError, TaskError
from tokenworth.tasks import Task
from tokenworth.tasks.split import KEPT_IN_TRAIN, sample, split, texts_of_each

_TENTH = 0.1


def usable_rows(task: Task, config: AdaptConfig, seed: int) -> Ints:
    """Rows of the task's training texts that a route may use, in rising order.

    Raises:
        SettingError: train_size leaves fewer texts than classes.
    """
    labels_N = task.train.labels
    if config.train_size is None:
        return np.arange(len(labels_N))
    n_classes = int((texts_of_each(labels_N, task.n_classes) > 0).sum())
    if config.train_size < n_classes:
        raise SettingError(f"train_size {config.train_size} is less than a text for each of the {n_classes} classes")
    return sample(labels_N, config.train_size, seed)


def size_of(task: Task, config: AdaptConfig, seed: int) -> TaskSize:
    """What of a task the rule of settings asks for; of texts in groups, or of several labels, what a tenth can take.

    Raises:
        SettingError: train_size leaves fewer texts than classes.
    """
    rows = usable_rows(task, config, seed)
    train = task.train.take(rows)
    if (units := train.units()) is not None or task.several:
        cut = split(train.labels, _TENTH, seed, units)[1]
        return TaskSize(len(rows), len(cut))
    counts_C = np.bincount(train.labels)
    return TaskSize(len(rows), int(np.maximum(counts_C - KEPT_IN_TRAIN, 0).sum()))


def divide(task: Task, config: ResolvedConfig, seed: int) -> tuple[Ints, Ints]:
    """Rows of the task's training texts to learn from and to validate on (often none), each in rising order.

    Raises:
        SettingError: train_size leaves fewer texts than classes.
        TaskError: too few texts to cut a validation part from.
    """
    rows = usable_rows(task, config, seed)
    if not config.needs_validation:
        return rows, rows[:0]
    train = task.train.take(rows)
    kept, cut = split(train.labels, config.validation_share, seed, train.units())
    if not len(cut):
        remedy = "choose selection last and no calibration"
        if config.thresholds == "chosen":
            remedy += ", and thresholds half"
        raise TaskError(
            f"{task.name}: {len(rows):,} training texts are too few to cut a validation part of "
            f"{config.validation_share:g} from with two left in every class; {remedy}, or bring more texts"
        )
    return rows[kept], rows[cut]
