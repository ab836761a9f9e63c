"""Golden cases of pretraining: losses, looks, weights of dense models and experts, mixtures, and the trace of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from golden_inputs import (
    all_weights,
    columns,
    digest,
    documents,
    in_two_processes,
    interrupted,
    noise,
    read_json,
    write_documents,
    write_task,
    write_yaml,
)

DENSE = {"layers": 2, "width": 32, "heads": 4, "kv_heads": 2}
EXPERTS = {"layers": 2, "width": 32, "heads": 2, "experts": 4, "inner_width": 32}
OLDER = {
    "layers": 2,
    "width": 32,
    "heads": 2,
    "normalisation": "layernorm",
    "norm_place": "post",
    "feed_forward": "gelu",
    "bias": True,
    "positions": "learned",
    "tied": False,
}
TRAINING = {
    "tokens": 16 * 5 * 32,
    "context": 32,
    "batch": 5,
    "micro_batch": 2,
    "lr": 0.01,
    "dtype": "float32",
    "clip_norm": 0.8,
    "warmup_share": 0.2,
    "held_out_share": 0.05,
    "held_out_tokens": 400,
    "trace_from": 640,
    "trace_per_decade": 2,
    "device": "cpu",
}
"""Batches of 5 in passes of 2, 2 and 1; the gradient is clipped in some steps and not in others."""
EVEN = {"batch": 6, "tokens": 16 * 6 * 32}
"""The same for two processes: 3 sequences each, in passes of 2 and 1."""


def _run_file(home: Path, name: str, model: Any, **changes: Any) -> Path:
    """NAME.yaml beside two sources, three parts of the first to one of the second."""
    for source, seed in (("one", 0), ("two", 1)):
        write_documents(home / f"{source}.txt", documents(150, seed))
    settings = {
        "sources": {"one": {"path": "one.txt", "weight": 3, "annealing_weight": 1}, "two": "two.txt"},
        "tokenizer": {"vocabulary": 300},
        "model": model,
        "training": {**TRAINING, **changes},
        "prompts": ["the river"],
        "shards": "shards",
    }
    return write_yaml(home / f"{name}.yaml", settings)


def _journal(run: Path) -> list[Any]:
    import json

    return [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def trained_in(run: Path) -> dict[str, Any]:
    """All that a finished run leaves: its facts, a line a step, and checkpoints."""
    facts = read_json(run / "run.json")
    last = run / "checkpoints" / f"tokens-{facts['tokens']}"
    return {
        "run.json": facts,
        "metrics.jsonl": _journal(run),
        "checkpoints": {path.name: all_weights(path) for path in sorted((run / "checkpoints").iterdir())},
        "tokenizer": {"bits": digest((last / "tokenizer.json").read_bytes())},
        "config": {key: value for key, value in read_json(last / "config.json").items() if "version" not in key},
    }


def _pretrained(home: Path, model: Any, **changes: Any) -> dict[str, Any]:
    import tokenworth as tw

    tw.pretrain(_run_file(home, "run", model, **changes), home / "run")
    return trained_in(home / "run")


def dense(home: Path) -> Any:
    """Warm-up, stable, decay; annealed; documents kept apart."""
    return _pretrained(home, DENSE, schedule="wsd", annealing_share=0.3)


def experts(home: Path) -> Any:
    """A mixture of experts and its balance; a cosine; documents may look back."""
    return _pretrained(home, EXPERTS, cross_documents=True, activation_checkpointing=True)


def parts_of_2017(home: Path) -> Any:
    """LayerNorm behind the sum, GELU, biases, learned places, a head of its own; products in bfloat16."""
    return _pretrained(home, OLDER)


def resumed(home: Path) -> Any:
    """Stopped after 9 of 16 steps, with a checkpoint after each; what is left must be what was found without a stop."""
    import tokenworth as tw

    file = _run_file(home, "run", DENSE, checkpoint_seconds=0)
    interrupted(lambda progress: tw.pretrain(file, home / "run", progress=progress), "pretrain", 9)
    tw.pretrain(file, home / "run")
    tw.pretrain(file, home / "whole")
    found, whole = trained_in(home / "run"), trained_in(home / "whole")
    assert found["checkpoints"] == whole["checkpoints"]
    assert [row.get("loss") for row in found["metrics.jsonl"]] == [row.get("loss") for row in whole["metrics.jsonl"]]
    return found


WAYS: dict[str, tuple[Any, dict[str, Any]]] = {
    "replicas": (DENSE, {}),
    "fsdp2": (DENSE, {"shard": True}),
    "ring": (DENSE, {"ring": True}),
    "experts": (EXPERTS, {}),
}


def two_processes(home: Path) -> Any:
    """5 sequences over two processes: replicas, weights spread, sequences spread, experts; and group DRO."""
    for name, (model, changes) in WAYS.items():
        _run_file(home, name, model, **EVEN, **changes)
    _mixture_file(home, **EVEN)
    in_two_processes(_train_all, home)
    found: dict[str, Any] = {name: trained_in(home / name) for name in WAYS}
    return found | {"mixture": _mixed(home)}


def _train_all(home: Path) -> None:
    import tokenworth as tw

    for name in WAYS:
        tw.pretrain(home / f"{name}.yaml", home / name)
    _find(home, 1)


def _mixture_file(home: Path, **changes: Any) -> None:
    write_documents(home / "noise.txt", noise(100, 2))
    _run_file(home, "mixture", {"layers": 1, "width": 32, "heads": 2}, **changes)
    import yaml

    values = yaml.safe_load((home / "mixture.yaml").read_text(encoding="utf-8"))
    values["sources"] = {"one": {"path": "one.txt", "weight": 1}, "noise": {"path": "noise.txt", "weight": 3}}
    values["training"] |= {"trace_per_decade": 0}
    del values["shards"]
    write_yaml(home / "mixture.yaml", values)


def _find(home: Path, rounds: int) -> None:
    from tokenworth.pretraining import WeighingConfig, find_weights, read_config

    find_weights(read_config(home / "mixture.yaml"), home / "mixture", WeighingConfig(rounds=rounds))


def _mixed(home: Path) -> dict[str, Any]:
    """Weights found, and what each step of each run weighed."""
    rounds = sorted((home / "mixture").glob("round-*"))
    return {
        "mixture.json": read_json(home / "mixture" / "mixture.json"),
        "trajectory.csv": columns(home / "mixture" / "trajectory.csv"),
        "run.yaml": (home / "mixture" / "run.yaml").read_text(encoding="utf-8"),
        "proxies": [_journal(path / "proxy") for path in rounds],
        "weights": [all_weights(path / "proxy" / "checkpoints") for path in rounds],
    }


def mixture(home: Path) -> Any:
    """Weights of a learnable source and of noise by group DRO, in two rounds."""
    _mixture_file(home)
    _find(home, 2)
    return _mixed(home)


def trace(home: Path) -> Any:
    """Every checkpoint of a small run on a task: bow, probe, LoRA at the ends, scratch."""
    import tokenworth as tw

    tw.pretrain(_run_file(home, "run", DENSE, trace_per_decade=1), home / "run")
    task = write_task(home / "reviews.csv", n=80, classes=2)
    config = {"steps": 4, "lr": 1e-3, "rank": 2, "batch": 4, "dtype": "float32"}
    tw.trace(home / "run", task, config=config, device="cpu", max_length=24, out=home / "trace")
    found = read_json(home / "trace" / "trace.json")
    return {"trace.json": found, "trace.parquet": columns(home / "trace" / "trace.parquet")}
