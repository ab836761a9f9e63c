"""Golden cases with real texts and small trained decoders of TOKENWORTH_SHARED: recorded outside of the repository.

    python tests/golden.py record FOLDER real     and     python tests/golden.py compare FOLDER

Their fixtures hold texts of other people, so they stay where they were recorded.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from golden_corpora import built
from golden_inputs import columns, command, read_json, write_documents, write_yaml
from golden_judgements import CPU, assessment_in
from golden_routes import adapted_in
from golden_runs import trained_in

SHARED = Path(os.environ.get("TOKENWORTH_SHARED", Path(__file__).parents[2] / "shared"))
TASKS, MODELS, CORPORA = SHARED / "data" / "tasks", SHARED / "models", SHARED / "data" / "corpora"
SMALL = [str(MODELS / name) for name in ("stories260k", "tinystories-656k")]
LARGE = str(MODELS / "wikinovels-14m")
SAMPLE = {"max_texts": 250, "max_length": 64}


def assess(home: Path) -> Any:
    """The largest decoder on two tasks, float32 and bfloat16."""
    import tokenworth as tw

    tw.assess(LARGE, str(TASKS / "emotion"), conventions=True, out=home / "emotion", **SAMPLE, **CPU)
    narrow = {**CPU, "dtype": "bfloat16", "layers": "last"}
    tw.assess(LARGE, str(TASKS / "sms_spam"), out=home / "sms_spam", **SAMPLE, **narrow)
    return {name: assessment_in(home / name) for name in ("emotion", "sms_spam")}


def rank(home: Path) -> Any:
    """Two decoders and the random twin of one."""
    asked = [TASKS / "sms_spam", *SMALL, f"{SMALL[0]}@random", "--device", "cpu", "--dtype", "float32"]
    command(home, "rank", *asked, "--max-texts", "250", "--max-length", "64", "--out", "out", "-q")
    found = read_json(home / "out" / "ranking.json")
    return {**found, "assessments": [{key: one[key] for key in ("layers", "probes")} for one in found["assessments"]]}


def decide(home: Path) -> Any:
    """Options of two decoders with learning curves, on a card."""
    import tokenworth as tw

    tw.decide(
        str(TASKS / "emotion"),
        SMALL,
        hardware="a100",
        price=2.0,
        budget="$1",
        labels=True,
        layers="last",
        out=home,
        **SAMPLE,
        **CPU,
    )
    return read_json(home / "decision.json")


def routes(home: Path) -> Any:
    """All six on one task with one decoder, 30 steps."""
    import tokenworth as tw

    task = tw.load_task(str(TASKS / "emotion")).sample(300, seed=0)
    config = {"steps": 30, "lr": 1e-3, "rank": 8, "max_length": 64, "dtype": "float32", "shots": 2}
    found = {}
    for route in ("bow", "prompt", "probe", "lora", "full", "scratch"):
        tw.adapt(None if route == "bow" else SMALL[1], task, route, config=config, device="cpu", out=home / route)
        found[route] = adapted_in(home / route)
    return found


def runs(home: Path) -> Any:
    """A decoder pretrained on stories for 60 steps, and its trace on a task."""
    import tokenworth as tw

    training = {
        "tokens": 60 * 8 * 64,
        "context": 64,
        "batch": 8,
        "micro_batch": 3,
        "lr": 3e-3,
        "dtype": "float32",
        "held_out_tokens": 2000,
        "trace_from": 10_000,
        "trace_per_decade": 1,
        "device": "cpu",
    }
    sources = {
        "stories": str(CORPORA / "tinystories_sample.txt.zst"),
        "wiki": {"path": str(CORPORA / "wikitext2_valid.txt.zst"), "weight": 0.5},
    }
    settings = {
        "sources": sources,
        "tokenizer": {"vocabulary": 1024},
        "training": training,
        "model": {"layers": 3, "width": 64, "heads": 4},
    }
    tw.pretrain(write_yaml(home / "run.yaml", settings), home / "run")
    config = {"steps": 10, "lr": 1e-3, "rank": 4, "dtype": "float32"}
    tw.trace(home / "run", str(TASKS / "sms_spam"), config=config, device="cpu", out=home / "trace", **SAMPLE)
    return {
        **trained_in(home / "run"),
        "trace.json": read_json(home / "trace" / "trace.json"),
        "trace.parquet": columns(home / "trace" / "trace.parquet"),
    }


def corpus(home: Path) -> Any:
    """Paragraphs of articles and of a play through every stage."""
    stages = {
        "normalise": {"languages": ["en"]},
        "quality": None,
        "redact": None,
        "exact": None,
        "near": None,
        "semantic": {"model": SMALL[0], "threshold": 0.9},
        "perplexity": {"model": SMALL[0], "max_bits_per_byte": 5.0},
        "decontaminate": {"tasks": [str(TASKS / "emotion")]},
    }
    write_documents(home / "wiki.txt", _paragraphs("wikitext2_valid", "\n")[:250])
    write_documents(home / "play.txt", _paragraphs("tinyshakespeare", "\n\n")[:150])
    sources = {
        "wiki": {"path": "wiki.txt", "documents": "paragraphs", "weight": 0.7},
        "play": {"path": "play.txt", "documents": "paragraphs", "weight": 0.3},
    }
    settings = {
        "sources": sources,
        "stages": stages,
        "mix": {"shard_mb": 0.2},
        "keep_dropped": True,
        "pack": {"tokenizer": {"vocabulary": 1000}},
    }
    return built(home, settings)


def _paragraphs(name: str, separator: str) -> list[str]:
    """Those of at least 30 words."""
    import pyarrow as pa

    text = pa.input_stream(CORPORA / f"{name}.txt.zst", compression="zstd").read().decode()
    return [part for part in text.split(separator) if len(part.split()) >= 30]


def measures(home: Path) -> Any:
    """Exposure, memory, places and a task's test texts, of a decoder of stories."""
    texts, model = CORPORA / "tinystories_sample.txt.zst", SMALL[0]
    asked = {
        "exposure": [model, texts, "--prefixes", "32", "--continuation", 8],
        "memorisation": [model, texts, "--held-out", CORPORA / "wikitext2_test.txt.zst", "--spans", 40],
        "positions": [model, texts, "--length", 256, "--bins", 4],
        "completion": [model, TASKS / "sms_spam"],
    }
    return {name: json.loads(command(home, "measure", name, *more, "--json", "-q")) for name, more in asked.items()}
