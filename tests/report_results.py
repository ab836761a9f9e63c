"""Made-up results with the shapes and sizes of real ones, for the tests of the report."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tokenworth.adaptation import AdaptResult
from tokenworth.assessment import Assessment, Ranking
from tokenworth.decision import Decision

PWNED = "<script>window.pwned=1</script>"
K = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384]


def assessment(n_classes: int = 2, *, name: str = "wikinovels-14m", level: float = 0.86, causal: bool = True,
               seed: int = 0) -> Assessment:  # fmt: skip
    """A seven-layer assessment; ``level`` is the probe's quality at the best layer."""
    rng = np.random.default_rng(seed)
    names = (
        [PWNED, "positive"] if n_classes == 2 else [f"{PWNED} {i}" if i == 3 else _intent(i) for i in range(n_classes)]
    )
    layers = [_layer(layer, level, causal, rng) for layer in range(7)]
    train = [int(count) for count in np.sort(rng.integers(20, 190, n_classes))[::-1]]
    test = [max(2, count // 4 + int(rng.integers(-3, 4))) for count in train]
    flags = [] if causal else [_not_autoregressive("ntps"), _not_autoregressive("ar_r2")]
    return Assessment(
        task=_task(names, train, test), predictions=[], backbone=_backbone(name, causal), layers=layers, best_layer=4,
        settings={"layers": "all", "pooling": "mean", "prefix": "sum", "max_texts": None, "seed": 0, "groups": 20,
                  "permutations": 5, "batch_tokens": 4096},
        best_layer_frequency={"3": 0.15, "4": 0.8, "5": 0.05}, curves=_curves(causal), spectrum=_spectrum(causal),
        probes=_probes(level), confusion=_confusion(names, test, level, rng),
        flags=[*flags, {"layer": 0, "score": "k90", "reason": "the signal is not above its standard error"}],
        poolings=_poolings(layers), best_pooling="mean", best_states="raw", nested_accuracy=0.75,
        sentences=_sentences(name, level), timings={"load": 0.8, "tokenise": 1.4, "encode": 14.2, "scores": 4.1,
                                                    "probes": 6.3, "total": 26.8},
        environment={"command": f"tokenworth assess {PWNED}", "tokenworth": "0.1.0", "torch": "2.13.0",
                     "python": "3.11.9", "machine": "x86_64, 2 CPUs"},
    )  # fmt: skip


def _poolings(layers: list[dict]) -> list[dict]:
    """Probes of every layer on its mean and last state, and of three layers on both together."""
    return [
        {"layer": row["layer"], "pooling": pooling, "states": "raw", "cv_loss": 1 - row["cv_accuracy"] + worse,
         "cv_accuracy": row["cv_accuracy"] - worse, "accuracy": row["probe_accuracy"] - worse, "f1": row["probe_f1"]}
        for pooling, worse, tried in (("last", 0.1, range(7)), ("last+mean", 0.01, (1, 4, 5)), ("mean", 0.0, range(7)))
        for row in layers if row["layer"] in tried
    ]  # fmt: skip


def _intent(i: int) -> str:
    words = (
        "card_arrival",
        "exchange_rate",
        "top_up_failed",
        "transfer_not_received_by_recipient",
        "lost_or_stolen_card",
    )
    return f"{words[i % 5]}_{i}"


def _layer(layer: int, level: float, causal: bool, rng) -> dict:
    rise = level - 0.012 * (layer - 4) ** 2 + float(rng.normal(0, 0.004))
    row = {"layer": layer}
    for key, value, half, chance in (
        ("probe_f1", rise, 0.018, None), ("probe_accuracy", rise + 0.006, 0.018, None),
        ("knn_accuracy", rise - 0.08 - 0.01 * layer, 0.02, None), ("cv_accuracy", rise + 0.003, 0.012, 0.52),
        ("label_r2", rise * 0.55, 0.03, 0.04), ("hscore", rise * 0.62, 0.02, 0.09),
        ("logme", rise - 1.24, None, -0.71), ("k90", 210 - 40 * layer + 6 * layer**2, 30, None),
        ("retained_auc", 0.2 + 0.31 * level * (1 - 0.05 * (layer - 4) ** 2), 0.04, 0.17),
        ("ntps", 0.55 - 0.02 * layer if causal else math.nan, 0.03, 0.54),
        ("ar_r2", 0.3 + 0.08 * layer if causal else None, None, None),
    ):  # fmt: skip
        row |= {key: value, f"{key}_chance": chance}
        row |= {f"{key}_low": value - half, f"{key}_high": value + half} if half and value is not None else {}
    row["k90"] = None if layer == 0 else row["k90"]
    row["logistic_f1"] = row["probe_f1"] + 0.01 if layer in (3, 4, 5) else None
    row["logistic_accuracy"] = row["probe_accuracy"] + 0.01 if layer in (3, 4, 5) else None
    return row


def _not_autoregressive(score: str) -> dict:
    return {"layer": None, "score": score, "reason": "not autoregressive: the encoder has already seen the next token"}


def _task(names: list[str], train: list[int], test: list[int]) -> dict:
    return {
        "name": "rotten_tomatoes <b>&amp;</b>", "source": "/data/tasks/rotten_tomatoes", "label_names": names,
        "counts": {"classes": {"train": train, "test": test}, "overlap": 3, "empty": {"train": 0, "test": 1},
                   "characters": {"train": {"mean": 114.0, "max": 267}, "test": {"mean": 115.7, "max": 261}}},
        "notes": ["3 texts stand in both train and test.", "Split by <i>group</i>, seed 0."], "fingerprint": "9f" * 32,
        "tokens": {"train": 182_331, "test": 45_112, "mean": 25.3, "max": 78, "truncated": 0, "one_token": 0},
    }  # fmt: skip


def _backbone(name: str, causal: bool) -> dict:
    return {
        "name": name, "source": f"/models/{name}", "n_layers": 6, "width": 384, "n_parameters": 13_900_000,
        "dtype": "bfloat16", "device": "cpu", "causal": causal, "random": False, "fingerprint": "c4" * 32,
        "notes": ["The tokenizer has no padding token; texts are padded with the end-of-text token and masked."],
    }  # fmt: skip


def _curves(causal: bool) -> dict:
    x = np.log2(K) / math.log2(384)
    kept = 1 - (1 - x) ** 2.2
    ntps = (0.1 + 0.9 * x**1.6) if causal else np.full(len(K), math.nan)
    return {
        "k": K, "retained": [0.02, *kept[1:]],
        "retained_low": list(kept - 0.3 * (1 - x)), "retained_high": list(kept + 0.2 * (1 - x)),
        "retained_raw": list(kept * 0.93 + 0.07 * x), "chance": [k / 384 for k in K], "ntps": list(ntps),
        "ntps_chance": list(0.09 + 0.9 * x**1.7) if causal else [None] * len(K),
        "ar_r2": list(0.8 * (1 - (1 - x) ** 3)) if causal else [],
    }  # fmt: skip


def _spectrum(causal: bool) -> dict:
    ranks = np.arange(1, 385)
    pooled = list(0.2 * ranks**-1.1 * np.exp(-ranks / 150))
    return {"context": list(0.4 * ranks**-1.4) if causal else [], "pooled": [*pooled[:-2], 0.0, -1e-19]}


def _probes(level: float) -> list[dict]:
    rows = (("majority class", "majority", None, 0.36, 0.0),
            ("TF-IDF + logistic regression", "bow", None, 0.75, 1.2),
            ("ridge, layer 4", "ridge", 4, level, 0.4),
            ("logistic, layer 4", "logistic", 4, level + 0.01, 5.2))  # fmt: skip
    return [
        {"name": name, "kind": kind, "layer": layer, "accuracy": f1 + 0.008, "accuracy_low": f1 - 0.012,
         "accuracy_high": f1 + 0.026, "f1": f1, "f1_low": f1 - 0.02, "f1_high": f1 + 0.02, "seconds": seconds}
        for name, kind, layer, f1, seconds in rows
    ]  # fmt: skip


def _confusion(names: list[str], test: list[int], level: float, rng) -> dict:
    counts = []
    for i, total in enumerate(test):
        spread = rng.dirichlet(np.full(len(names), 0.05)) * (1 - level)
        spread[i] += level
        counts.append([int(count) for count in rng.multinomial(total, spread / spread.sum())])
    return {"probe": "logistic, layer 4", "labels": names, "counts": counts}


def _sentences(name: str, level: float) -> list[str]:
    return [
        f"A linear read-out of layer 4 of {name} reaches F1 {level:.3f} on the test texts; bag of words 0.750.",
        "The difference is larger than both intervals: the backbone carries signal that counting words does not.",
        "NTPS is no higher than with shuffled labels, so it says nothing here; the retained area does.",
        "These numbers do not say what fine-tuning would add.",
    ]  # fmt: skip


def empty_assessment() -> Assessment:
    """Everything that can be missing is missing: one layer of NaN, no probes, no curves, no flags."""
    nothing = {"layers": [{"layer": 2, "probe_f1": math.nan, "ntps": None}], "best_layer": 2,
               "best_layer_frequency": {},
               "curves": {}, "spectrum": {}, "probes": [], "confusion": {}, "flags": [], "sentences": [], "timings": {},
               "environment": {}, "settings": {}, "poolings": []}  # fmt: skip
    task = {"name": "t", "label_names": ["a", "b"]}
    return replace(assessment(), task=task, **nothing)


def ranking() -> Ranking:
    """Three backbones, two of them tied, and one that failed with a hostile message."""
    many = [assessment(level=0.86), assessment(name="all-MiniLM-L6-v2", level=0.85, causal=False, seed=1),
            assessment(name=f"wikinovels-14m@random {PWNED}", level=0.7, seed=2)]  # fmt: skip
    rows = [_ranked(rank, a) for rank, a in enumerate(many, 1)]
    rows.append({"name": "broken", "rank": None, "failed": f"model.safetensors is cut short {PWNED}"})
    return Ranking(
        task=many[0].task, rows=rows, assessments=many, baseline=many[0].probes[1], environment=many[0].environment,
        sentences=["wikinovels-14m is first; all-MiniLM-L6-v2 cannot be told apart from it with 1,066 test texts."],
    )  # fmt: skip


def _ranked(rank: int, a: Assessment) -> dict:
    keys = ("probe_f1", "probe_accuracy", "retained_auc", "hscore", "logme")
    scores = {key: value for key, value in a.layers[4].items() if key.startswith(keys)}
    best = {f"best_{key}": a.probes[3][key] for key in ("f1", "f1_low", "f1_high", "accuracy")}
    return {**best, "name": a.backbone["name"], "rank": rank, "tied": rank == 2, "best_layer": 4,
            "seconds": 26.8 * rank, "n_parameters": 13_900_000, "failed": None, **scores}  # fmt: skip


def adapted(n_classes: int = 2, route: str = "lora", *, whole: bool = True) -> AdaptResult:
    """A route's result; ``whole`` with a diagnosis, a search and suspicious labels."""
    rng = np.random.default_rng(0)
    names = [PWNED, "positive"] if n_classes == 2 else [_intent(i) for i in range(n_classes)]
    counts = [30] * n_classes
    metrics = {"weighted_f1": 0.871, "macro_f1": 0.86, "accuracy": 0.873, "balanced_accuracy": 0.86, "log_loss": 0.41,
               "brier": 0.2, "ece": 0.05}  # fmt: skip
    metrics |= {f"{name}_low": v - 0.02 for name, v in metrics.items()} | {
        f"{n}_high": v + 0.02 for n, v in metrics.items()
    }
    pairs = [{"true": names[0], "predicted": names[1], "texts": 7}]
    confusion = {**_confusion(names, counts, 0.87, rng), "mistakes": pairs}
    del confusion["probe"]
    scores = {f"{name}_{when}": 0.5 for name in ("ntps", "retained_auc", "probe_f1", "hscore", "logme",
                                                 "probe_accuracy") for when in ("before", "after")}  # fmt: skip
    diagnosis = {"layers": [{"layer": layer, **scores} for layer in range(4)],
                 "updates": [{"name": "layers.0.q_proj", "shape": [64, 64], "relative_size": 0.02,
                              "effective_rank": 6.1, "intruders": 1, "looked_at": 10}]}  # fmt: skip
    suspicious = {"row": 3, "text": f"a text {PWNED}", "label": names[0], "suggested": names[1], "p_label": 0.02,
                  "p_suggested": 0.95}  # fmt: skip
    harm = {"row": 3, "text": f"a text {PWNED}", "label": names[0], "read_as": names[1], "harm": 0.004}
    group = {"texts": 10, "sum": 0.03, "together": 0.025}
    influence = {"error": 0.4, "agreement": 0.97, "harmful": [harm], "groups": [group]}
    bins = [{"confidence": c, "accuracy": a, "texts": n} for c, a, n in ((0.55, 0.6, 20), (0.97, 0.93, 80))]
    trained = route in ("lora", "full", "scratch")
    return AdaptResult(
        validation={}, resumed_from_step=0, route=route,
        task={"name": "sms <i>spam</i>", "label_names": names, "texts": {"train": 90, "test": 60},
                           "notes": []},
        backbone=None if route == "bow" else {"name": "wikinovels-14m", "n_parameters": 1, "notes": []}, seed=0,
        settings={"metric": "weighted_f1", "steps": 100, "targets": ["auto"]}, metrics=metrics,
        train_metrics={"texts": 90, **metrics}, temperature=1.2, parameters={"trainable": 1000, "total": 9000},
        training={"losses": list(np.exp(-np.arange(900) / 300))} if trained else {},
        facts={"majority": {"weighted_f1": 0.33}}, cost={"seconds": 12.0, "train_flops": 1e12 if trained else None},
        confusion=confusion, calibration=bins, mislabelled=[suspicious] if whole else [],
        influence=influence if whole else {},
        diagnosis=diagnosis if whole and trained else {},
        tuning=[{"lr": 1e-4, "rank": 8, "steps": 50, "weighted_f1": 0.8}] if whole else [],
        sentences=["LoRA reached weighted F1 0.871."], environment={"torch": "2.13.0"},
    )  # fmt: skip


def decided(*, labels: bool = True) -> Decision:
    """A decision between five routes, with hostile names."""

    def row(model, route, source, f1, seconds, **more):
        return {
            "model": model, "route": route, "source": source, "f1": f1, "f1_low": f1 - 0.05, "f1_high": f1 + 0.04,
            "affordable": True, "f1_kept": f1, "shortfall": 0.9 - f1, "chance_best": 0.2, "flops": 1e9 * seconds,
            "seconds": seconds, "money": 0.01 * seconds, "trainable": 1000, "storage_bytes": 4000,
            "million_flops": 1e12, "million_seconds": 90.0, "million_money": 0.2, "memory_bytes": 10**8, **more,
        }  # fmt: skip

    options = [
        row(PWNED, "lora", "predicted", 0.9, 900.0, f1_kept=0.91, shortfall=0.0),
        row(PWNED, "probe", "measured", 0.895, 6.0),
        row(PWNED, "scratch", "predicted", 0.86, 700.0, affordable=False, shortfall=None, chance_best=None),
        row(None, "bow", "measured", 0.8, 1.0, flops=0),
    ]
    curve = {"texts": [100, 200, 400], "f1": [0.5, 0.6, 0.65], "beyond": [{"texts": 800.0, "f1": 0.68}]}
    return Decision(
        task={"name": PWNED, "notes": [PWNED]},
        options=options,
        recommended=options[1],
        sentences=[f"Take a probe of {PWNED}."],
        warnings=[f"{PWNED}: parameters 500, calibrated from 1 to 2"],
        settings={
            "budget": PWNED,
            "calibration": {"cells": 12, "tasks": 9, "backbones": [PWNED]},
            "config": {"steps": 4},
        },
        explanation=[
            {
                "model": PWNED,
                "route": "lora",
                "predictor": "p",
                "indicators": {"probe_f1": 0.8},
                "slopes": {"probe_f1": 0.1},
                "mean_absolute_error": 0.03,
            },
        ],
        labels=[{"route": "bow", "model": None, **curve}, {"route": "probe", "model": PWNED, **curve}]
        if labels
        else [],
        pilots=[
            {"model": PWNED, "route": "lora", "steps": 10, "f1": 0.7, "before": 0.8, "after": 0.85, "seconds": 3.0}
        ],
        environment={"tokenworth": "0"},
        assessments=[],
    )


def pretrained():
    """A pretraining run of two sources, one of them with a hostile name, and its curves."""
    from tokenworth.pretraining import PretrainPage, PretrainRun

    figures = {"train_tokens": 9000, "held_tokens": 500, "train_documents": 90, "held_documents": 5}
    source = {**figures, "train_bytes": 40_000, "held_bytes": 2000, "passes": 5.5}
    held = {"nll": 3.2, "perplexity": 24.5, "bits_per_byte": 1.75}
    run = PretrainRun(
        settings={"sources": {}, "model": {"layers": 2}, "training": {"tokens": 50_000}, "tokenizer": PWNED, "seed": 0},
        parameters={"total": 13_900_000, "non_embedding": 10_600_000, "active": 13_900_000},
        train_flops_per_token=9e7, tokenizer={"fingerprint": "ab", "vocabulary": 300},
        sources={"wiki": source, PWNED: {**source, "train_tokens": 0}}, environment={"torch": "2.13"}, tokens=49_600,
        seconds=75.0, tokens_per_second=660.0, held_out={"wiki": held, PWNED: held},
        samples=[{"prompt": "The", "continuation": PWNED}], finished=True)  # fmt: skip
    journal = [{"step": i, "tokens": 16 * i, "loss": 8 - i / 500} for i in range(1, 3100)]
    looks = {"wiki": held, PWNED: held}
    journal += [{"step": i, "tokens": 16 * i, "held_out": looks} for i in (0, 10, 100, 1000, 3100)]
    return PretrainPage(run=run, journal=journal)
