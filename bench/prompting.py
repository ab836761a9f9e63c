"""What do a chat template, examples and calibration bring when a chat model is asked for the class of a text?

    python bench/prompting.py --data FOLDER --model FOLDER [--out out/prompting.jsonl] [--texts 300] [--only-table]

Every way of asking reads the same test texts, 50 at a time, and leaves a line of JSON for each 50: stopped at any
moment, the command goes on, and the table is about the texts that all ways have read.  Beside them: the vote of the
same eight neighbours, a bag of words and the most frequent class.  The table goes to docs/results/prompting.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch

from pages import write_page
from tokenworth.adaptation import adapt, make_config
from tokenworth.adaptation.job import Job
from tokenworth.adaptation.recommended_settings import as_published
from tokenworth.adaptation.routes.prompt_calibration import (
    EMPTY_TEXTS,
    contextual_bias,
    label_share_bias,
    log_probabilities,
)
from tokenworth.adaptation.routes.prompt_predictor import PromptPredictor
from tokenworth.adaptation.routes.prompt_route import fit_prompt
from tokenworth.backbones import Backbone, load_backbone
from tokenworth.probes.metrics import evaluate, paired_difference
from tokenworth.probes.neighbours import vote
from tokenworth.tasks import Task, load_task
from tokenworth.tasks.split import sample
from tokenworth.training.devices import find_devices

PAGE = Path(__file__).parents[1] / "docs" / "results" / "prompting.md"
TASKS = ("sms_spam", "sst2", "emotion")
TRAIN, SHARE_TEXTS, AT_ONCE, SHOTS = 1000, 50, 50, 8
NO_LINE = "chat, no line"
FORMS: dict[str, dict[str, Any]] = {"chat": {}, NO_LINE: {"system": ""}, "plain": {"chat": False}}
EXAMPLES: dict[str, dict[str, Any]] = {
    "none": {},
    "8 balanced": {"shots": SHOTS},
    "8 nearest": {"shots": SHOTS, "examples": "nearest"},
}
CALIBRATIONS = ("none", "contextual", "label shares")
VOTE = "vote of the 8 nearest"

Line = dict[str, Any]


def main() -> None:
    """Ask what has not been asked yet, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/prompting.jsonl"))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--only", choices=TASKS, help="one task, where several processes share the work")
    parser.add_argument("--only-table", action="store_true")
    options = parser.parse_args()
    tasks = {name: small_task(options.data / name, options.texts) for name in TASKS}
    if not options.only_table:
        backbone = load_backbone(str(options.model), dtype=options.dtype, lm_head=True)
        run(backbone, {name: task for name, task in tasks.items() if options.only in (None, name)}, options.out)
    answers = Answers([json.loads(line) for line in options.out.read_text(encoding="utf-8").splitlines()])
    write_page(options.page, list(page_lines(tasks, answers, options.model.name, options.dtype)))


def small_task(place: Path, texts: int) -> Task:
    """TRAIN training texts, drawn by class, and so many test texts in random order."""
    task = load_task(str(place))
    train = task.train.take(sample(task.train.labels, TRAIN, 0))
    rows = np.random.default_rng(0).permutation(sample(task.test.labels, texts, 0))
    return replace(task, train=train, test=task.test.take(rows))


def texts_of(task: Task, part: str) -> list[str]:
    """Texts of a part: without content, for shares of labels, or fifty test texts by their number."""
    if part == "empty":
        return list(EMPTY_TEXTS)
    if part == "shares":
        return task.train.take(sample(task.train.labels, SHARE_TEXTS, 1)).texts
    return task.test.texts[int(part) * AT_ONCE : (int(part) + 1) * AT_ONCE]


def run(backbone: Backbone, tasks: dict[str, Task], out: Path) -> None:
    """Part by part, so that every way of asking has read as many texts as any other."""
    out.parent.mkdir(parents=True, exist_ok=True)
    lines = out.read_text(encoding="utf-8").splitlines() if out.is_file() else []
    done = {Answers.key(json.loads(line)) for line in lines}
    predictors: dict[tuple[str, str, str], PromptPredictor] = {}
    n_parts = -(-max(len(task.test) for task in tasks.values()) // AT_ONCE)
    for part in ("0", "empty", "shares", *map(str, range(1, n_parts))):
        for name, form, examples in (way for way in ways() if way[0] in tasks):
            way = {"task": name, "form": form, "examples": examples, "part": part}
            texts = texts_of(tasks[name], part)
            if Answers.key(way) in done or not texts or (part == "empty" and examples == "8 nearest"):
                continue
            place = (name, form, examples)
            if place not in predictors:
                predictors[place] = predictor_of(backbone, tasks[name], {**FORMS[form], **EXAMPLES[examples]})
            write_lines(out, way, asked(predictors[place], tasks[name], texts))


def ways() -> Iterator[tuple[str, str, str]]:
    """Task, form and examples."""
    yield from ((name, *shape) for shape in shapes() for name in TASKS)


def shapes() -> Iterator[tuple[str, str]]:
    """Form and examples; what a system line brings is asked where a text does not cost a second."""
    yield from ((form, shown) for shown in EXAMPLES for form in FORMS if (form, shown) != (NO_LINE, "8 nearest"))


def predictor_of(backbone: Backbone, task: Task, config: Line) -> PromptPredictor:
    """The route's, without calibration."""
    loading = {"device": "auto", "revision": None, "allow_pickle": False, "tokenizer": None}
    rows, none = np.arange(len(task.train)), np.arange(0)
    resolved = as_published(make_config(config))
    job = Job("prompt", backbone, task, rows, none, resolved, "auto", 0, loading, find_devices(shard=False))
    fitted = fit_prompt(job)
    print(task.name, config, fitted.facts.get("nearest", ""), flush=True)
    assert isinstance(fitted.predictor, PromptPredictor)
    return fitted.predictor


def asked(predictor: PromptPredictor, task: Task, texts: list[str]) -> Line:
    """Scores, seconds of the processor, and what the neighbours vote."""
    start = process_time()
    scores_NC = predictor.raw_scores(texts)
    line: Line = {"scores": scores_NC.round(5).tolist(), "cpu_seconds": round(process_time() - start, 2)}
    if predictor.nearest is not None:
        nearest_MK = torch.tensor(np.stack(predictor.nearest.rows(texts))[:, ::-1].copy())
        rank_MK = torch.linspace(1, 0, nearest_MK.shape[1]).expand(nearest_MK.shape)  # of a tie, the nearer ones
        line["votes"] = vote(torch.from_numpy(task.train.labels), nearest_MK, rank_MK, task.n_classes).tolist()
    return line


def write_lines(out: Path, way: Line, answer: Line) -> None:
    """Behind the others."""
    with out.open("a", encoding="utf-8") as file:
        file.write(json.dumps({**way, **answer}) + "\n")
    print(way, f"{answer['cpu_seconds']:.0f} s", flush=True)


@dataclass(frozen=True)
class Answers:
    """Lines of the file, and what follows from them for the texts that every way has read."""

    lines: list[Line]

    @staticmethod
    def key(line: Line) -> tuple[str, str, str, str]:
        """What a line is about."""
        return line["task"], line["form"], line["examples"], line["part"]

    def parts(self, name: str) -> list[str]:
        """Parts of the test texts that all ways have read that have read any."""
        keys = {self.key(line) for line in self.lines}
        numbers = sorted({int(line["part"]) for line in self.lines if line["part"].isdigit()})
        begun = {self.key(line)[:3] for line in self.lines if line["part"].isdigit()}
        here = [way for way in ways() if way[0] == name and way in begun]
        return [str(number) for number in numbers if all((*way, str(number)) in keys for way in here)]

    def rows(self, task: Task, name: str) -> Any:
        """Those of the test texts that all ways have read."""
        number_M = np.arange(len(task.test)) // AT_ONCE
        return np.flatnonzero(np.isin(number_M, [int(part) for part in self.parts(name)]))

    def column(self, key: tuple[str, str, str], what: str, parts: list[str]) -> Any:
        """Values of some parts behind each other; None where one of them is missing."""
        by_part = {line["part"]: line[what] for line in self.lines if self.key(line)[:3] == key}
        rows = [by_part[part] for part in parts if part in by_part]
        return np.concatenate(rows) if len(rows) == len(parts) and rows else None

    def predicted(self, task: Task, key: tuple[str, str, str], calibration: str) -> Any:
        """Classes of the test texts, or None where what is needed has not been asked yet."""
        scores_NC = self.column(key, "scores", self.parts(key[0]))
        if scores_NC is None or calibration == "none":
            return None if scores_NC is None else scores_NC.argmax(1)
        drawn = (*key[:2], "8 balanced" if key[2] == "8 nearest" else key[2])
        few_NC = self.column(drawn, "scores", ["empty"])
        if calibration == "label shares":
            few_NC = self.column(key, "scores", ["shares"])
        if few_NC is None:
            return None
        shares_C = np.bincount(task.train.labels, minlength=task.n_classes) / len(task.train)
        bias_C = contextual_bias(few_NC) if calibration == "contextual" else label_share_bias(few_NC, shares_C)
        return (log_probabilities(scores_NC) - np.array(bias_C)).argmax(1)

    def seconds(self, form: str, examples: str, name: str) -> str:
        """Of the processor, a text; the first fifty pay for choosing a way to read."""
        mine = [line for line in self.lines if self.key(line)[:3] == (name, form, examples) and len(line["part"]) < 3]
        texts = sum(len(line["scores"]) for line in mine)
        return f"{sum(line['cpu_seconds'] for line in mine) / texts:.2f}" if texts else "-"


def page_lines(tasks: dict[str, Task], answers: Answers, model: str, dtype: str) -> Iterator[str]:
    """The page without its Reading."""
    read = {name: replace(task, test=task.test.take(answers.rows(task, name))) for name, task in tasks.items()}
    sizes = ", ".join(f"{name} {len(task.test)}" for name, task in read.items())
    yield from (
        "# Asking a chat model",
        "",
        f"{model}, {dtype}, torch {torch.__version__}, one thread. Examples out of {TRAIN:,} training texts;",
        f"test texts: {sizes}. Weighted F1 with its 95 % bootstrap interval over texts, and accuracy.",
        "chat: the model's template with a system line that names task and classes, examples as turns; chat, no line:",
        "with what the template says where it is given none; plain: the same words as running text, without any.",
        "",
        "    python bench/prompting.py --data ../shared/data/tasks --model FOLDER",
        "",
        "| form | examples | calibration | " + " | ".join(f"{name} F1 | accuracy" for name in read) + " |",
        "|---|---|---|" + "--:|--:|" * len(read),
    )
    for (form, examples), calibration in ((shape, words) for shape in shapes() for words in CALIBRATIONS):
        cells = [
            figures(task, answers.predicted(task, (name, form, examples), calibration)) for name, task in read.items()
        ]
        yield f"| {form} | {examples} | {calibration} | {' | '.join(cells)} |"
    yield from baselines(read, answers)
    yield from ("", "## The model beside its neighbours", "", *differences(read, answers))
    yield from ("", "## Seconds of one processor a text", "", *costs(answers))


def figures(task: Task, predicted_N: Any) -> str:
    """F1 with its interval, and accuracy."""
    if predicted_N is None or not len(task.test):
        return "- | -"
    value = evaluate(task.test.labels, predicted_N, task.n_classes)
    return f"{value.f1:.3f} ({value.f1_low:.2f} to {value.f1_high:.2f}) | {value.accuracy:.3f}"


def baselines(read: dict[str, Task], answers: Answers) -> Iterator[str]:
    """What any answer of the model has to beat, on the same texts."""
    votes, bags, frequent = [], [], []
    for name, task in read.items():
        votes.append(figures(task, answers.column((name, "chat", "8 nearest"), "votes", answers.parts(name))))
        most = np.bincount(task.train.labels).argmax()
        frequent.append(figures(task, np.full(len(task.test), most)))
        bags.append(figures(task, bag_of_words(task)) if len(task.test) else "- | -")
    yield f"| {VOTE} | | | {' | '.join(votes)} |"
    yield f"| bag of words | | | {' | '.join(bags)} |"
    yield f"| most frequent class | | | {' | '.join(frequent)} |"


def bag_of_words(task: Task) -> Any:
    """Classes by the route bow."""
    table = adapt(None, task, "bow", config={"mislabelled": False}).predictions
    return np.array([task.label_names.index(name) for name in table["predicted"]])


def differences(read: dict[str, Task], answers: Answers) -> Iterator[str]:
    """Weighted F1 of the model with its nearest examples less that of the vote of these examples."""
    yield from ("| form | calibration | " + " | ".join(read) + " |", "|---|---|" + "--:|" * len(read))
    nearest = [form for form, shown in shapes() if shown == "8 nearest"]
    for form, calibration in ((form, calibration) for form in nearest for calibration in CALIBRATIONS):
        cells = []
        for name, task in read.items():
            key = (name, form, "8 nearest")
            pair = (answers.predicted(task, key, calibration), answers.column(key, "votes", answers.parts(name)))
            known = pair[0] is not None and pair[1] is not None
            value = paired_difference(task.test.labels, *pair, task.n_classes) if known else None
            cells.append("-" if value is None else f"{value[0]:+.3f} ({value[1]:+.2f} to {value[2]:+.2f})")
        yield f"| {form} | {calibration} | {' | '.join(cells)} |"


def costs(answers: Answers) -> Iterator[str]:
    """By form and examples."""
    yield from ("| form | examples | " + " | ".join(TASKS) + " |", "|---|---|" + "--:|" * len(TASKS))
    for form, examples in shapes():
        yield f"| {form} | {examples} | {' | '.join(answers.seconds(form, examples, name) for name in TASKS)} |"


if __name__ == "__main__":
    main()
