"""Golden cases without training: assessments, rankings, decisions, scaling laws, measures of a decoder."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from golden import ADDED
from golden_inputs import (
    columns,
    command,
    digest,
    documents,
    in_two_processes,
    model_at,
    prose_model,
    read_json,
    write_documents,
    write_task,
)

CPU = {"device": "cpu", "dtype": "float32"}


def assessment_in(out: Path) -> dict[str, Any]:
    """assessment.json, and how the table beside it is laid out."""
    layout = {name: column["type"] for name, column in columns(out / "layers.parquet").items()}
    return {"assessment.json": read_json(out / "assessment.json"), "layers.parquet": layout}


def assess_float32(home: Path) -> Any:
    """A decoder with every score there is."""
    import tokenworth as tw

    model, task = model_at(home / "llama"), write_task(home / "reviews.csv")
    found = tw.assess(model, task, conventions=True, batch_tokens=100, out=home / "out", **CPU)
    return {**assessment_in(home / "out"), "summary": {**found.summary(), "seconds": 0}}


def assess_bfloat16(home: Path) -> Any:
    """An encoder in half precision, two states a text, in several passes over chosen layers."""
    import tokenworth as tw

    model, task = model_at(home / "bert", "bert"), write_task(home / "reviews.csv", classes=2, seed=1)
    more = {"pooling": "last+mean", "layers": "1-3", "prefix": "mean", "max_texts": 40, "seed": 3, "memory_gb": 1e-5}
    tw.assess(model, task, device="cpu", dtype="bfloat16", out=home / "out", **more)
    return assessment_in(home / "out")


def assess_in_two_processes(home: Path) -> Any:
    """One pass shared, then the weights spread over both."""
    model_at(home / "llama")
    write_task(home / "reviews.csv")
    in_two_processes(_assess_twice, home)
    found = {name: read_json(home / name / "assessment.json") for name in ("shared", "spread")}
    return {name: {key: one[key] for key in ("layers", "predictions", "probes")} for name, one in found.items()}


def _assess_twice(home: Path) -> None:
    import tokenworth as tw

    for name, shard in (("shared", False), ("spread", True)):
        tw.assess(
            str(home / "llama"),
            str(home / "reviews.csv"),
            shard=shard,
            batch_tokens=100,
            out=home / name,
            layers="last",
            cache=home / "caches" / name,
            **CPU,
        )


def rank(home: Path) -> Any:
    """Three backbones and one that is not there; the printed figures besides."""
    names = [model_at(home / name, seed=seed) for seed, name in enumerate(("first", "second"))]
    task = write_task(home / "reviews.csv")
    asked = [task, *names, f"{names[0]}@random", home / "gone", "--device", "cpu", "--dtype", "float32"]
    printed = json.loads(command(home, "rank", *asked, "--layers", "last", "--out", "out", "--json", "-q"))
    saved = read_json(home / "out" / "ranking.json")
    assessments = saved.pop("assessments")
    return {
        "ranking.json": saved,
        "assessments": [{key: one[key] for key in ("layers", "predictions")} for one in assessments],
        "printed as saved": {**printed, "assessments": 0} == {**saved, "assessments": 0},
        "printed": [key for key in printed if key not in ADDED],
        "ranking.parquet": list(columns(home / "out" / "ranking.parquet")),
    }


def decide(home: Path) -> Any:
    """The shipped calibration, without pilots; once within a budget on a card, once by another metric."""
    import tokenworth as tw

    models = [model_at(home / "llama", num_hidden_layers=1), model_at(home / "gpt2", "gpt2", n_layer=1)]
    task = write_task(home / "reviews.csv")
    tw.decide(task, models, hardware="a100", price=2.0, budget="$0.001", out=home / "out", layers="last", **CPU)
    other = tw.decide(
        task,
        models[:1],
        hardware="t4",
        metric="accuracy",
        config={"steps": 200},
        seed=1,
        max_texts=60,
        tolerance=0.1,
        layers="last",
        calibration=["published"],
        **CPU,
    )
    keys = ("options", "recommended", "sentences", "warnings", "settings")
    return {
        "decision.json": read_json(home / "out" / "decision.json"),
        "by accuracy": {key: json.loads(other.to_json())[key] for key in keys},
    }


def scaling(home: Path) -> Any:
    """Laws fitted to a table of runs with seeded noise, and plans made with one."""
    rng = random.Random(0)
    rows = ["parameters,tokens,loss,flops"]
    for n in (1e7, 3e7, 1e8, 3e8, 1e9):
        for d in (1e9, 4e9, 1.6e10, 6.4e10):
            loss = (1.69 + 406.4 / n**0.34 + 410.7 / d**0.28) * (1 + rng.gauss(0, 0.003))
            rows.append(f"{n},{d},{loss!r},{6 * n * d}")
    (home / "runs.csv").write_text("\n".join(rows), encoding="utf-8")
    found = {}
    for form, samples in (("chinchilla", 3), ("kaplan", 0)):
        printed = command(
            home, "scaling", "fit", "runs.csv", "--form", form, "--bootstrap", samples, "--out", form, "--json"
        )
        assert json.loads(printed) == read_json(home / form / "fit.json")
        found[form] = json.loads(printed)
    plan = ["scaling", "plan", "chinchilla", "--flops", "1e21", "--json"]
    found["plan"] = json.loads(command(home, *plan))
    found["plan with serving"] = json.loads(command(home, *plan, "--served", "1e12"))
    return found


def measures(home: Path) -> Any:
    """Every measure of a decoder by its command, and a decoder made longer."""
    prose_model(home / "dense", max_position_embeddings=64)
    from measured_models import random_decoder

    experts = random_decoder("Mixtral", num_key_value_heads=4, num_local_experts=4)
    experts.model.save_pretrained(home / "experts")
    experts.tokenizer.save_pretrained(home / "experts")
    write_documents(home / "seen.txt", documents(12, 0, 50))
    write_documents(home / "other.txt", documents(8, 1, 50))
    write_documents(home / "words.txt", [" ".join(documents(1, 2)[0].split())] * 2)
    rows = [f"{text},class {number % 2}" for number, text in enumerate(documents(60, 3, 20))]
    (home / "reviews.csv").write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    asked = {
        "exposure": ["dense", "seen.txt", "--prefixes", "8,16", "--continuation", 4],
        "memorisation": ["dense", "seen.txt", "--held-out", "other.txt", "--prefixes", 8, "--span", 4],
        "completion": ["dense", "reviews.csv"],
        "positions": ["dense", "seen.txt", "--length", 40, "--window", 16, "--bins", 4],
        "retrieval": ["dense", "words.txt", "--lengths", 48, "--probes", 2, "--values", 3],
        "router": ["experts", "seen.txt", "--length", 20],
    }
    found = {
        name: json.loads(command(home, "measure", name, *arguments, "--json", "-q"))
        for name, arguments in asked.items()
    }
    command(home, "extend", "dense", "--out", "long", "--factor", 2, "--method", "yarn")
    beyond = ["measure", "positions", "long", "seen.txt", "--length", 60, "--bins", 3, "--json", "-q"]
    return {
        **found,
        "extended": {key: read_json(home / "long" / "config.json")[key] for key in ("max_position_embeddings",)},
        "positions when extended": json.loads(command(home, *beyond)),
        "rope": digest(json.dumps(read_json(home / "long" / "config.json").get("rope_parameters"), sort_keys=True)),
    }
