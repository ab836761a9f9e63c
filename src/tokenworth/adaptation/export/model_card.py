"""README.md beside a saved classifier: what it was made of, how well it does, how to use it without this package.

The head of the file is what model hubs read.  What came from data (names of classes, of files) is escaped.
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Iterable, Sequence
from typing import Any

from tokenworth.adaptation.route_names import ROUTES
from tokenworth.adaptation.storage.adapt_result import AdaptResult
from tokenworth.probes.label_set_metrics import LABEL_SET_METRICS
from tokenworth.probes.probability_metrics import METRICS

CARD = "README.md"
_MOST_CLASSES = 50
"""Names of more are left to classifier.json."""
_SETTINGS = ["class_weights", "max_length", "long", "prefix", "calibrate", "tune", "protocol", "metric"]
_KNOWN_BEFORE = (
    "The test texts were read once, after every choice had been made; the intervals say what other test texts of the "
    "same source would give, not what another seed, another source or a later year would."
)


def card_of(result: AdaptResult, usage: Sequence[str], more: Sequence[str] = ()) -> str:
    """The card as Markdown.

    Args:
        result: of the run that the classifier is from.
        usage: paragraphs on loading it.
        more: paragraphs on the form it is in, after those on its figures.
    """
    name, n_texts = _plain(result.task["name"]), result.task["texts"]["test"]
    head = "\n".join(["---", "pipeline_tag: text-classification", "tags:", "- tokenworth", f"- {result.route}", "---"])
    title = f"# {name}: {result.made_by}" + (f" on {_plain(result.backbone['name'])}" if result.backbone else "")
    parts = [head, title, *(_plain(sentence) for sentence in result.sentences[:1])]
    parts += ["## Task", _table(_task(result)), "## Protocol", _table(_protocol(result))]
    parts += ["## Metrics", f"On {n_texts:,} test texts, with 95 % bootstrap intervals over texts."]
    parts += [_table(_metrics(result), ("metric", "value", "from", "to")), "## Cost", _table(_cost(result)), *more]
    parts += ["## Limits", "\n".join(f"- {sentence}" for sentence in _limits(result)), "## Loading it", *usage]
    return "\n\n".join(parts) + "\n"


def source_of(function: Any) -> str:
    """A function's own text as Python that stands alone."""
    return f"from __future__ import annotations\n\n\n{inspect.getsource(function).rstrip()}"


def table(rows: Iterable[Sequence[Any]], heads: Sequence[str]) -> str:
    """Rows as a table of Markdown, whatever words are in them."""
    return _table([[_plain(str(cell)) for cell in row] for row in rows], heads)


def _table(rows: Iterable[Sequence[str]], heads: Sequence[str] = ("", "")) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Words of others in one line, without markup."""
    escaped = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{char}" if char in r"\`*_[]|#" else char for char in escaped if char.isprintable())


def _task(result: AdaptResult) -> list[list[str]]:
    task, texts = result.task, result.task["texts"]
    names = [_plain(name) for name in task["label_names"]]
    listed = ", ".join(names[:_MOST_CLASSES]) + (
        ", ... (classifier.json has all)" if len(names) > _MOST_CLASSES else ""
    )
    counted = f"{texts['train']:,} training, {texts.get('validation', 0):,} validation, {texts['test']:,} test"
    rows = [["name", _plain(task["name"])], ["source", _plain(task.get("source", ""))]]
    rows += [["fingerprint of the data", f"`{task['fingerprint']}`"], ["texts", counted]]
    return [*rows, [f"classes ({len(names)})", listed]]


def _protocol(result: AdaptResult) -> list[list[str]]:
    rows = [["route", result.route], ["seed", str(result.seed)]]
    if result.backbone is not None:
        card = result.backbone
        places = dict.fromkeys((card["name"], card.get("source", "")))
        rows += [["backbone", ", ".join(_plain(place) for place in places if place)]]
        rows += [["fingerprint of the backbone", f"`{card['fingerprint']}`"], ["number format", card["dtype"]]]
    rows += [[name, _plain(str(result.facts[name]))] for name in ("layer", "probe", "setting") if name in result.facts]
    values = {name: result.settings.get(name) for name in (*ROUTES[result.route].on_card, *_SETTINGS)}
    rows += [[name, _plain(_listed(value))] for name, value in values.items() if value not in (None, "", False)]
    return [*rows, ["temperature", f"{result.temperature:.4g}"]]


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _metrics(result: AdaptResult) -> list[list[str]]:
    figures = result.metrics
    kept = [name for name in dict.fromkeys((*LABEL_SET_METRICS, *METRICS)) if name in figures]
    rows = [[name, figures[name], figures[f"{name}_low"], figures[f"{name}_high"]] for name in kept]
    return [[str(name).replace("_", " "), *(f"{value:.4f}" for value in values)] for name, *values in rows]


def _cost(result: AdaptResult) -> list[list[str]]:
    cost, parameters = result.cost, result.parameters
    counted = f"{parameters.get('trainable', 0):,} learnt, {parameters.get('total', 0):,} in all"
    rows = [["parameters", counted], ["seconds in all", f"{cost['seconds']:,.1f}"]]
    names = {"train_flops": "FLOPs of training", "flops_per_prediction": "FLOPs of a text"}
    rows += [[label, f"{cost[name]:.3g}"] for name, label in names.items() if cost.get(name)]
    machine = ", ".join(f"{name} {value}" for name, value in result.environment.items() if isinstance(value, str))
    return [*rows, ["versions and machine", _plain(machine)]]


def _limits(result: AdaptResult) -> list[str]:
    names = len(result.task["label_names"])
    said = [f"It knows these {names} classes and gives every text one of them, texts of none among them."]
    if "by_label" in result.confusion:
        said = [f"It knows these {names} labels and gives a text any number of them, none among these."]
    said.append(_KNOWN_BEFORE)
    if result.mislabelled:
        said.append(f"Of its training texts {len(result.mislabelled):,} or more are probably labelled wrongly.")
    if result.metrics.get("ece", 0.0) > 0.1:
        said.append("Its confidence is not what it says: the calibration error is above .1.")
    notes = [*result.task.get("notes", []), *result.notes]
    return said + [_plain(note) for note in dict.fromkeys(notes)]
