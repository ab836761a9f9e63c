"""What each tuning reaches in equal steps, with how many parameters and FLOPs.

    python bench/tunings.py run docs/results/tunings.jsonl --data FOLDER --models FOLDER...
    python bench/tunings.py page docs/results/tunings.jsonl > docs/results/tunings.md

`run` adds a line a cell (model, task, method, rate, seed, sizes) and leaves out those that are there, so that it goes
on after an interruption and more cells can be asked for later; `page` makes the tables of all that is there.  A cell is
a run of `adapt` with the steps given, the last of which is kept, at the rate of the rule unless --rates says others.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from cell_lines import Cell, parser_of, run_or_show

NAMES = ("model", "task", "method", "lr", "seed", "steps", "texts", "max_length")
"""What a cell is; a rate of None is that of the rule."""
TASKS = ("rotten_tomatoes", "emotion", "sms_spam", "clickbait", "snli", "wiki_toxic")
LORA = {"route": "lora"}
METHODS: dict[str, dict[str, Any]] = {
    "probe": {"route": "probe"},
    "soft_prompt": {**LORA, "tuning": "soft_prompt"},
    "p_tuning": {**LORA, "tuning": "p_tuning"},
    "prefix": {**LORA, "tuning": "prefix"},
    "ia3": {**LORA, "tuning": "ia3"},
    "loreft": {**LORA, "tuning": "loreft"},
    "bias": {**LORA, "tuning": "bias"},
    "last_blocks": {**LORA, "tuning": "last_blocks"},
    "lora": LORA,
    "lora, intruders reduced": {**LORA, "reduce_intruders": True},
    "full": {"route": "full"},
}
"""Rows of the tables: routes and settings."""
HEAD = """# Tunings beside LoRA

Weighted F1 on test texts after equal numbers of steps, with what learns and what that costs; what each tuning is, is
told in [routes.md](../routes.md#tunings-beside-lora). Every cell is one run with the last step kept and the rate of
the rule (`adaptation/recommended_settings.py`); the probe makes no steps and chooses layer and penalty itself. With 300
test texts an F1 has a standard error of about .03: differences below that, from one seed, say nothing. A dash: not run.

    python bench/tunings.py run docs/results/tunings.jsonl --data TASKS --models MODEL...
    python bench/tunings.py page docs/results/tunings.jsonl > docs/results/tunings.md
"""


def main() -> None:
    """Run cells, or print the page of those that were run."""
    parser, run_parser = parser_of(__doc__, TASKS, 300)
    run_parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    run_parser.add_argument("--rates", type=float, nargs="+", default=[None], help="instead of those of the rule")
    run_or_show(parser.parse_args(), _grid, measured, page)


def _grid(options: argparse.Namespace) -> Iterator[tuple[Path, Cell]]:
    """What was asked for, model by model."""
    sizes = (options.steps, options.texts, options.max_length)
    for seed, model, *rest in product(options.seeds, options.models, options.tasks, options.methods, options.rates):
        yield model, dict(zip(NAMES, (model.name, *rest, seed, *sizes), strict=True))


def measured(model: Path, data: Path, cell: dict[str, Any]) -> dict[str, Any]:
    """One run: figures of test and training texts, cost, and why where there are none."""
    from tokenworth.adaptation import adapt
    from tokenworth.errors import AdaptError, SettingError
    from tokenworth.tasks import load_task

    task = load_task(cell["task"], data=data, seed=0).sample(cell["texts"], seed=0)
    settings = {**METHODS[cell["method"]]}
    route = settings.pop("route")
    config = {"max_length": cell["max_length"], "mislabelled": False, "selection": "last", "steps": cell["steps"]}
    try:
        result = adapt(
            str(model), task, route, seed=cell["seed"], config={**config, **settings, "lr": cell["lr"]}, cache=False
        )
    except (AdaptError, SettingError) as error:  # a loss that is no finite number, or a model without biases
        return {"f1": None, "failure": str(error)}
    return {
        "f1": result.metrics["weighted_f1"],
        "log_loss": result.metrics["log_loss"],
        "train_f1": result.train_metrics.get("weighted_f1"),
        "majority_f1": result.facts["majority"]["weighted_f1"],
        "rate": None if route == "probe" else result.settings["lr"],
        "learnt": result.parameters["trainable"],
        "train_flops": result.cost.get("train_flops"),
        "flops_a_text": result.cost["flops_per_prediction"],
        "seconds": round(result.cost["stages"]["fit"], 1),
        "products_in": result.facts.get("products_in"),
        "intruders": result.facts.get("intruders"),
        "train": len(task.train),
        "test": len(task.test),
        "failure": None,
    }


def page(rows: list[dict[str, Any]]) -> str:
    """A table a model and size of the runs' own rates, one of other rates, and one of intruder dimensions."""
    by_rule = [row for row in rows if row["lr"] is None]
    tables = defaultdict(list)
    for row in by_rule:
        tables[row["model"], row["steps"], row["texts"], row["max_length"]].append(row)
    parts = [HEAD, *(_table(place, tables[place]) for place in sorted(tables)), _intruders(by_rule), _rates(rows)]
    return "\n".join([part for part in parts if part] + [READING])


def _table(place: tuple[Any, ...], rows: list[dict[str, Any]]) -> str:
    model, steps, texts, length = place
    tasks = [task for task in TASKS if any(row["task"] == task for row in rows)]
    seeds = ", ".join(map(str, sorted({row["seed"] for row in rows})))
    title = f"## {model}: {steps} steps of 8, {texts} texts of each part, {length} tokens, seed {seeds}"
    heads = ["tuning", "rate", "numbers learnt", "FLOPs of training", "FLOPs a text", *tasks, "mean"]
    lines = [title, "", f"| {' | '.join(heads)} |", f"|---|{'--:|' * (len(heads) - 1)}"]
    for method in METHODS:
        cells = [row for row in rows if row["method"] == method]
        if cells:
            lines.append(f"| {' | '.join(_line(method, cells, tasks))} |")
    failures = dict.fromkeys(f"{row['method']}: {row['failure']}" for row in rows if row["failure"])
    return "\n".join([*lines, "", *(f"- {sentence}." for sentence in failures), ""])


def _line(method: str, cells: list[dict[str, Any]], tasks: list[str]) -> list[str]:
    fine = [cell for cell in cells if cell["f1"] is not None]
    if not fine:
        return [method, *["—"] * (5 + len(tasks))]
    means = [_mean([cell["f1"] for cell in fine if cell["task"] == task]) for task in tasks]
    whole = f"{np.mean(means):.3f}" if np.isfinite(means).all() else "—"
    rate = "—" if fine[0]["rate"] is None else f"{fine[0]['rate']:.1e}"
    costs = [_mean([cell[name] for cell in fine if cell[name]]) for name in ("train_flops", "flops_a_text")]
    shown = ["—" if np.isnan(value) else f"{value:.2e}" for value in costs]
    figures = ["—" if np.isnan(value) else f"{value:.3f}" for value in means]
    return [method, rate, f"{round(_mean([cell['learnt'] for cell in fine])):,}", *shown, *figures, whole]


def _intruders(rows: list[dict[str, Any]]) -> str:
    """Before and after, of the runs whose intruder dimensions were reduced."""
    found = [row for row in rows if row.get("intruders")]
    if not found:
        return ""
    lines = ["## LoRA's intruder dimensions, reduced afterwards", ""]
    lines += ["| model | task | seed | intruders | after | F1 | after | nats a token, backbone | LoRA | reduced |"]
    lines += [f"|---|---|{'--:|' * 8}"]
    for row in found:
        facts = row["intruders"]
        before, after = facts["before"], facts["after"]
        losses = [facts["text_loss_of_the_backbone"], before["text_loss"], after["text_loss"]]
        cells = [row["model"], row["task"], str(row["seed"]), f"{before['intruders']:,} of {facts['looked_at']:,}"]
        cells += [f"{after['intruders']:,}", f"{before['weighted_f1']:.3f}", f"{after['weighted_f1']:.3f}"]
        lines.append(f"| {' | '.join(cells + ['—' if loss is None else f'{loss:.3f}' for loss in losses])} |")
    return "\n".join([*lines, ""])


def _rates(rows: list[dict[str, Any]]) -> str:
    """Cells at rates that were asked for, beside those of the rule."""
    asked = {(row["model"], row["method"]) for row in rows if row["lr"] is not None}
    if not asked:
        return ""
    lines = ["## Other rates", ""]
    for model, method in sorted(asked):
        mine = [row for row in rows if (row["model"], row["method"]) == (model, method) and row["f1"] is not None]
        for task in sorted({row["task"] for row in mine if row["lr"] is not None}):
            told = sorted((row["rate"], row["f1"], row["log_loss"]) for row in mine if row["task"] == task)
            shown = ", ".join(f"{rate:g}: {f1:.3f} ({loss:.2f})" for rate, f1, loss in told)
            lines.append(f"- {model}, {method}, {task}: rate: weighted F1 (log-loss) {shown}")
    return "\n".join([*lines, ""])


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


READING = """## Reading

- SmolLM2-135M and Gemma-3-270M on six tasks; seed 0, 300 test texts (standard error up to .03), 60 steps at the rates
  of the rule.
- **In 60 steps little is won over the frozen probe, of either model.** SmolLM2: the probe, which makes no step at all,
  has .781 in the mean, LoRA .779, all weights .762; LoRA is ahead on five of six tasks, by .3 to 4.3 points, and 10
  behind on snli, where the probe chooses its layer. Gemma: all weights .824, LoRA .817, the probe .798; half of their
  lead and more is emotion (.605 and .543, the probe .473), and both are behind on snli, by 2.5 and 1.6 points.
- **Of what learns little** IA3 is closest with both (.744 and .751, with a 160th and a 120th of LoRA's numbers), LoReFT
  follows (.720 and .746), then soft prompts (.700 and .734) and P-tuning (.699 and .697). None is ahead of the probe on
  more than one of six tasks, by .003 where it is.
- **The order of the others is the model's**: the last blocks and a prefix have .743 and .730 of Gemma, .608 and .579 of
  SmolLM2. One model would have said that neither works.
- What 60 steps leave undone is not told: prompts and prefixes are known to want more of them. Their rates are those
  of the sources named in routes.md and were not compared here; the last blocks at 1e-4, the rate of all weights, look
  like a rate too low for SmolLM2 (.557 on rotten_tomatoes, where Gemma's have .797).
- By FLOPs of training the last blocks are the cheapest (half of LoRA's), prompts the dearest (2.3 times): their
  virtual tokens are read with every text, in predictions too.
- **Intruder dimensions**: none of 2,100 looked at after 60 steps on three tasks, so there is nothing to reduce; the
  text loss grows all the same (5.6 to 7.4 nats on sms_spam), so that it is not they that make a model forget here.
- SmolLM2 has no biases: tuning bias is refused, in a sentence. The machine was shared with other studies: seconds
  mean nothing.
- Not run: more steps, a second seed. `run` goes on where it stopped.
"""


if __name__ == "__main__":
    main()
