"""Golden cases of the routes: losses, metrics, predictions and weights; whole, resumed, in two processes; a study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from golden_inputs import (
    all_weights,
    columns,
    command,
    in_two_processes,
    interrupted,
    model_at,
    read_json,
    write_task,
    write_yaml,
)

SHORT = {"steps": 12, "batch": 7, "micro_batch": 3, "lr": 2e-3, "clip_norm": 0.6, "dtype": "float32"}
"""Batches of 7 in passes of 3, 3 and 1, and a gradient that is clipped in some steps and not in others."""


def adapted_in(out: Path) -> dict[str, Any]:
    """All that a finished route leaves."""
    return {
        "result.json": read_json(out / "result.json"),
        "predictions.parquet": columns(out / "predictions.parquet"),
        "weights": all_weights(out),
    }


def _adapt(home: Path, route: str, name: str, family: str = "llama", **config: Any) -> dict[str, Any]:
    import tokenworth as tw

    model = None if route == "bow" else model_at(home / family / route, family, lm_head=route == "prompt")
    task = write_task(home / "reviews.csv", named="class " if route in ("lora", "full", "scratch") else "w5")
    tw.adapt(model, task, route, config=config, device="cpu", out=home / name, seed=1)
    return adapted_in(home / name)


def untrained(home: Path) -> Any:
    """bow, probe and prompt, and what is said of them side by side and of new texts."""
    found = {
        "bow": _adapt(home, "bow", "bow", calibrate=True, class_weights="balanced"),
        "probe": _adapt(home, "probe", "probe", dtype="float32", train_size=40),
        "prompt": _adapt(home, "prompt", "prompt", dtype="float32", shots=2),
    }
    # All classes are nearly alike to a random model once its bias is divided out: who is ahead is decided by rounding.
    found["prompt, calibrated"] = {"bits": _adapt(home, "prompt", "calibrated", dtype="float32", contextual=True)}
    found["compare"] = json.loads(command(home, "compare", "bow", "probe", "prompt", "--json"))
    (home / "new.csv").write_text("text\nw11 w12 w3\nw21 w1\nw31 w2 w33\n", encoding="utf-8")
    found["predict"] = json.loads(command(home, "predict", "probe", "new.csv", "--json", "-q"))
    return found


def lora(home: Path) -> Any:
    """Packed rows, dropout, the best step on a validation part, a temperature, suspicious labels, a diagnosis."""
    return _adapt(
        home, "lora", "out", **SHORT, rank=4, alpha=8, selection="best", eval_steps=4, calibrate=True, diagnose=True
    )


def lora_bfloat16(home: Path) -> Any:
    """Half precision, and two trials of a search."""
    return _adapt(home, "lora", "out", **{**SHORT, "dtype": "bfloat16"}, rank=2, mislabelled=False, tune=2)


def full(home: Path) -> Any:
    """Padded rows of an encoder, classes weighed, one state a text."""
    return _adapt(
        home,
        "full",
        "out",
        "bert",
        **SHORT,
        packing=False,
        class_weights="balanced",
        pooling="mean",
        weight_decay=0.1,
        mislabelled=False,
        train_size=33,
    )


def scratch(home: Path) -> Any:
    """Random weights, a tokenizer trained on the training texts; and the plain checkpoint it is exported as."""
    more = {"tokenizer": "retrained", "mislabelled": False, "pooling": "last", "head_bias": False}
    found = _adapt(home, "scratch", "out", **SHORT, **more)
    command(home, "export", "out", "plain")
    return {**found, "exported": all_weights(home / "plain")}


def resumed(home: Path) -> Any:
    """LoRA and all weights, stopped after 7 of 12 steps; what is left must be what was found without a stop."""
    import tokenworth as tw

    model, task = model_at(home / "llama"), write_task(home / "reviews.csv")
    found = {}
    for route in ("lora", "full"):
        config = {
            **SHORT,
            "rank": 4,
            "mislabelled": False,
            "checkpoint_seconds": 0,
            "selection": "best",
            "eval_steps": 3,
        }

        def run(route: str = route, config: Any = config, **more: Any) -> None:
            tw.adapt(model, task, route, config=config, device="cpu", out=home / route, **more)

        interrupted(run, "train", 7)
        run()
        found[route] = adapted_in(home / route)
        whole = tw.adapt(model, task, route, config=config, device="cpu", out=home / f"{route} whole")
        assert whole.training["losses"] == found[route]["result.json"]["training"]["losses"]
        assert all_weights(home / f"{route} whole") == found[route]["weights"]
    return found


def two_processes(home: Path) -> Any:
    """7 texts over two processes; replicas, then weights spread over both."""
    model_at(home / "llama")
    write_task(home / "reviews.csv")
    in_two_processes(_adapt_all, home)
    return {name: adapted_in(home / name) for name in ("lora", "full", "full-spread", "scratch")}


def _adapt_all(home: Path) -> None:
    import tokenworth as tw

    for name in ("lora", "full", "full-spread", "scratch"):
        route, _, spread = name.partition("-")
        config = {**SHORT, "rank": 4, "mislabelled": False, "shard": bool(spread), "micro_batch": 2}
        tw.adapt(str(home / "llama"), str(home / "reviews.csv"), route, config=config, device="cpu", out=home / name)


def study(home: Path) -> Any:
    """A grid of cells and its table."""
    model_at(home / "llama")
    write_task(home / "reviews.csv", n=60)
    settings = {"steps": 4, "lr": 0.001, "mislabelled": False, "dtype": "float32"}
    grid = {
        "backbones": ["llama"],
        "tasks": ["reviews.csv"],
        "routes": ["assess", "bow", "probe", "lora"],
        "seeds": [0, 1],
        "settings": settings,
        "axes": {"rank": [2, 4]},
    }
    write_yaml(home / "grid.yaml", grid)
    command(home, "study", "run", "grid.yaml", "--out", "out", "-q")
    command(home, "study", "export", "grid.yaml", "cells.csv", "--out", "out")
    tables = json.loads(command(home, "study", "tables", "grid.yaml", "--out", "out", "--json"))
    return {"cells": columns(home / "cells.csv"), "tables": tables}
