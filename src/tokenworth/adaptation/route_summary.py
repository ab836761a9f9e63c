"""The result in plain words."""

from __future__ import annotations

from typing import Any

from tokenworth.adaptation.evaluation.evaluation import Evaluation
from tokenworth.adaptation.job import Fitted, Job
from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.routes.tunings import KINDS

_WORDS = {"weighted_f1": "weighted F1", "macro_f1": "macro F1", "ece": "ECE"}
_WORDS |= {"micro_f1": "micro F1", "samples_f1": "samples F1"}


def summarise(job: Job, fitted: Fitted, evaluation: Evaluation, cost: dict[str, Any]) -> list[str]:
    """Two to nine sentences: what it reached, against what, at what cost, by which settings, and what to doubt."""
    metrics, name = evaluation.metrics, job.config.metric
    between = f"{metrics[f'{name}_low']:.3f} to {metrics[f'{name}_high']:.3f}"
    thing = "label" if job.task.several else "class"
    metric = _WORDS.get(name, name.replace("_", " "))
    reached = (
        f"{_did(job)} reached {metric} {metrics[name]:.3f} (95 % interval {between}) on "
        f"{len(job.task.test):,} test texts; always saying the most frequent {thing} gives weighted F1 "
        f"{evaluation.majority['weighted_f1']:.3f}."
    )
    said = [reached, *_of_labels(job, evaluation), *_on_training_texts(evaluation, len(job.train))]
    if cost.get("train_flops"):
        said.append(
            f"It trained {fitted.parameters['trainable']:,} of {fitted.parameters['total']:,} parameters on "
            f"{cost['tokens']:,} tokens: {cost['train_flops']:.2e} FLOPs in {cost['loop_seconds']:,.0f} s."
        )
    said += [*_of_long_texts(job, fitted), *_chosen(job, fitted)]
    if fitted.training.get("halvings"):
        said.append(f"Memory ran short; steps were made in passes of {fitted.training['micro_batch']} texts.")
    if metrics["ece"] > 0.1:
        remedy = "" if job.config.calibrate else "; calibrate: true fits a temperature"
        said.append(f"Its confidence is off by {metrics['ece']:.2f} on average (ECE){remedy}.")
    return said + list(fitted.notes)


def _did(job: Job) -> str:
    return KINDS[job.config.tuning].words if job.route == "lora" else ROUTES[job.route].subject


def _of_labels(job: Job, evaluation: Evaluation) -> list[str]:
    """Of several labels a text: the other F1s, and where thresholds are from."""
    if evaluation.thresholds is None:
        return []
    named = {name: words for name, words in _WORDS.items() if name.endswith("f1") and name != job.config.metric}
    others = ", ".join(f"{words} {evaluation.metrics[name]:.3f}" for name, words in named.items())
    exact = f"Texts whose labels are all right: {evaluation.metrics['accuracy']:.3f}; {others}."
    if job.config.mislabelled:
        exact += " Wrong labels were not looked for, which is done for one class a text alone."
    if job.config.thresholds == "half":
        return [exact, "Labels are predicted from a probability of a half on."]
    low, high = min(evaluation.thresholds), max(evaluation.thresholds)
    part = f"{len(job.validation_rows):,} validation texts"
    between = f"a probability of {low:.2f}" if low == high else f"probabilities of {low:.2f} to {high:.2f}"
    return [exact, f"Labels are predicted from {between} on, chosen on {part} by F1."]


_READ = {
    "first": "of each the first were read",
    "last": "of each the last were read",
    "ends": "of each the first and the last were read, half and half",
    "chunks": "each was read in pieces, of which the mean counts",
}


def _of_long_texts(job: Job, fitted: Fitted) -> list[str]:
    """How many were longer than what is read at once, where they are not few, and what was read of them."""
    read, long = fitted.read, job.config.read_of_long
    if job.long_choice:
        scores = ", ".join(f"{way} {value:.3f}" for way, value in job.long_choice["had"].items())
        metric = _WORDS.get(job.long_choice["metric"], job.long_choice["metric"].replace("_", " "))
        part = f"{metric} on {job.long_choice['texts']:,} validation texts"
        if not read.longer:
            return [f"No training text is longer than the {read.limit:,} tokens that are read, so all are read whole."]
        chosen = [f"Of long texts {long} is read, chosen by {part}: {scores}."]
    else:
        chosen = []
    if long == "first" and read.longer < _NOT_FEW * read.texts:
        return chosen
    counted = f"{read.longer:,} of {read.texts:,} training texts are longer than the {read.limit:,} tokens read at once"
    return [f"{counted}; {_READ[long]}.", *chosen] if read.longer else chosen


_NOT_FEW = 0.05
"""Share of long texts from which on it is said that their beginning alone was read."""


def _on_training_texts(evaluation: Evaluation, n_train: int) -> list[str]:
    """How far memory goes; of a sample with its interval."""
    train = evaluation.train_metrics
    if not train:
        return []
    gap = train["accuracy"] - evaluation.metrics["accuracy"]
    where, between, side = "training texts", "", "above" if gap >= 0 else "below"
    if train["texts"] < n_train:
        where = f"{train['texts']:,.0f} of the {where}"
        between = f" (95 % interval {train['accuracy_low']:.3f} to {train['accuracy_high']:.3f})"
    return [f"On {where} its accuracy is {train['accuracy']:.3f}{between}, {abs(gap):.3f} {side} that on test texts."]


def _chosen(job: Job, fitted: Fitted) -> list[str]:
    """What the rule of settings chose and why, and where training ended by it."""
    config, sentences = job.config, list[str]()
    if job.by_rule:
        values = {"lr": f"lr {config.lr:g}", "steps": f"{config.steps:,} steps"}
        chosen = [f"{values[name]} ({reason})" for name, reason in job.by_rule.items()]
        sentences.append(f"Not given and so chosen by rule: {'; '.join(chosen)}.")
    if config.patience is not None and fitted.training.get("best_step"):
        made, best = len(fitted.training["losses"]), fitted.training["best_step"]
        sentences.append(
            f"Training ended after {made:,} of {config.steps:,} steps; the weights of step {best:,} are kept."
        )
    return sentences
