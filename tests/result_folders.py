"""A folder with a made-up result of every kind, as commands leave them."""

import json
from dataclasses import asdict, replace
from pathlib import Path

from report_results import PWNED, adapted, assessment, decided, pretrained, ranking
from traces import planted_part, planted_run, planted_trace, rising

TEXTS = "9f" * 32
"""Fingerprint of the task of the assessments."""
ODD = (1e-9, -3e-7, 1.23e-5, 0.3, 2 / 3, 1234.5678, 123456.789, 98765432.0, 3.3e12, 1e20)
"""Numbers of every size, for what writes them."""
KINDS = {
    "reviews": "assessment",
    "reviews-again": "assessment",
    "ranked": "ranking",
    "decided": "decision",
    "lora": "run",
    "bow": "run",
    "begun": "run",
    "served": "run",
    "study": "study",
    "trace": "trace",
    "pretrained": "pretraining",
    "mixture": "mixture",
    "corpus": "corpus",
}
"""By folder; the one cell of the study is a run more."""
_AMOUNT = {"documents": 10, "bytes": 1000}


def write_result(folder: Path, name: str, text: str, *, page: str = "report.html") -> None:
    """A file of a result, and a page beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    if page:
        (folder / page).write_text("<!DOCTYPE html><title>a page</title><p>of a result", encoding="utf-8")


def run_text(route: str = "lora", *, f1: float = 0.871, model: str | None = None, seed: int = 0) -> str:
    """A run on the task of the assessments."""
    run = adapted(2, route, whole=False)
    metrics = {**run.metrics, "weighted_f1": f1, "weighted_f1_low": f1 - 0.02, "weighted_f1_high": f1 + 0.02}
    backbone = run.backbone if model is None else {**run.backbone, "name": model}
    task = {**run.task, "name": "rotten_tomatoes", "fingerprint": TEXTS}
    settings = {**run.settings, "lr": 1e-4 * (1 + seed), "odd": [seed * value for value in ODD]}
    settings |= {f"odd {place}": value * (1 + seed) for place, value in enumerate(ODD)}
    return replace(run, task=task, metrics=metrics, backbone=backbone, seed=seed, settings=settings).to_json()


def results_folder(root: Path) -> Path:
    """Every kind once or twice, hostile names among them."""
    write_result(root / "reviews", "assessment.json", _assessed(0.86).to_json())
    write_result(root / "reviews-again", "assessment.json", _assessed(0.9, seed=1).to_json(), page="")
    write_result(root / "ranked", "ranking.json", ranking().to_json())
    write_result(root / "decided", "decision.json", decided().to_json())
    write_result(root / "lora", "result.json", run_text())
    write_result(root / "lora", "run.json", json.dumps({"route": "lora", "model": "m", "task": TEXTS}, indent=1))
    write_result(root / "bow", "result.json", run_text("bow", f1=0.78))
    begun = {"version of the numbers": 5, "route": "full", "model": f"/models/{PWNED}", "task": TEXTS, "seed": 0}
    write_result(root / "begun", "run.json", json.dumps(begun, indent=1), page="")
    write_result(root / "served", "result.json", run_text("prompt", f1=0.7, model="endpoint:small-chat"))
    _write_study(root / "study")
    run = planted_run()
    traced = planted_trace([planted_part(run, probe=rising(0.6, 0.03), n_test=200)], run)
    write_result(root / "trace", "trace.json", traced.to_json(), page="trace.html")
    _write_pretraining(root / "pretrained")
    write_result(root / "mixture", "mixture.json", json.dumps(_mixture(), indent=1))
    write_result(root / "corpus", "report.json", json.dumps(_corpus(), indent=1))
    return root


def _assessed(level, **more):
    result = assessment(level=level, **more)
    task = {**result.task, "name": "rotten_tomatoes", "texts": {"train": 200, "test": 50}}
    return replace(result, task=task)


def _write_study(place):
    cells = place / "cells"
    for key, route, f1 in (("aa", "lora", 0.9), ("bb", "bow", 0.8)):
        write_result(cells / key / "run", "result.json", run_text(route, f1=f1), page="")
        (cells / key / "cell.json").write_text(json.dumps({"route": route}), encoding="utf-8")
    failed = cells / "cc"
    failed.mkdir()
    (failed / "cell.json").write_text(json.dumps({"route": "full"}), encoding="utf-8")
    (failed / "error.json").write_text(json.dumps({"kind": "TaskError", "message": "no texts"}), encoding="utf-8")
    (place / "report.html").write_text("<!DOCTYPE html><title>a study</title><p>of cells", encoding="utf-8")


def _write_pretraining(place):
    page = pretrained()
    write_result(place, "run.json", json.dumps({"schema": 1, **asdict(page.run)}, indent=1))
    rows = [row for row in page.journal if "held_out" in row]
    for row, bits in zip(rows, (4.0, 3.0, 2.5, 2.0, 1.75), strict=True):
        row["held_out"] = {name: {"nll": 1.0, "bits_per_byte": bits} for name in row["held_out"]}
    (place / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def _mixture():
    once = {"given": {"a": 0.5, "b": 0.5}, "weights": {"a": 0.7, "b": 0.3}, "excess": {"a": 0.1, "b": 0.0}}
    once |= {"reference": {"a": 3.2, "b": 3.0}, "proxy": {"a": 3.0, "b": 3.0}, "change": 0.2}
    return {"weights": once["weights"], "bytes": once["weights"], "rounds": [once], "settled": False, "settings": {}}


def _corpus():
    stages = [
        {"stage": "extract", "source": source, "taken": _AMOUNT, "given": {"documents": 8, "bytes": 800}}
        for source in ("web", PWNED)
    ]
    kept = {"documents": 12, "bytes": 1200, "files": 1}
    mix = [{"source": "web", "got_share": 0.5}, {"source": PWNED, "got_share": 0.5}]
    settings = {"name": "news", "seed": 0}
    return {"schema": 1, "name": "news", "stages": stages, "output": kept, "mix": mix, "settings": settings}
