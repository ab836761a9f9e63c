"""What the tests of the trace share: planted curves, and a small pretraining run on disk."""

import json
import shutil
from pathlib import Path

import numpy as np

from planted import planted_task
from small_models import write_model, write_tokenizer
from tokenworth.tracing.measurer import SCORES
from tokenworth.tracing.run_losses import Losses
from tokenworth.tracing.run_reader import Checkpoint, Run
from tokenworth.tracing.trace_assembly import Measured, Part, assemble, find_part
from tokenworth.tracing.trace_settings import TraceSettings, budget

TOKENS = [0, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000]
FLOPS_PER_TOKEN = 8.4e7
SHORT = {"steps": 6, "lr": 1e-3, "rank": 4}


def answers(true_N, share, rng):
    """Predictions of two classes, each right with this probability, whatever the class."""
    return np.where(rng.random(len(true_N)) < share, true_N, 1 - true_N)


def planted_run(tokens=None) -> Run:
    """A run that exists in memory only; bits a byte fall with log tokens."""
    tokens = tokens or TOKENS
    bits = {at: 8.0 - 0.4 * np.log10(1 + at) for at in tokens}
    checkpoints = tuple(Checkpoint(Path("nowhere"), at, f"weights {at}") for at in tokens)
    return Run(Path("nowhere"), "planted", checkpoints, 14_000_000, FLOPS_PER_TOKEN, Losses(bits, ("a",), {}), ())


def planted_part(run, *, probe, lora=None, bow=0.75, scratch=0.6, n_test=1500, name="planted", seed=0) -> Part:
    """A task on which routes are right with the given probabilities: functions of tokens, and two constants."""
    rng, task = np.random.default_rng(seed), planted_task(40, n_test)
    task = type(task)(name, task.source, task.label_names, task.train, task.test, (), task.counts, 0)
    true_N = task.test.labels

    def says(share):
        return {"predictions": answers(true_N, share, rng).tolist(), "train_flops": 2e13}

    assessed = {at: {**says(probe(at)), **_scores(probe(at), rng)} for at in run.tokens}
    adapted = {at: [says(lora(at)) for _ in range(2)] for at in run.tokens[::3]} if lora else {}
    measured = Measured(says(bow), assessed, adapted, [says(scratch) for _ in range(2)] if lora else [])
    return find_part(run, task, measured, seed=0)


def _scores(level, rng):
    kept = {f"{score}{end}": level + rng.normal(0, 0.01) for score in SCORES for end in ("", "_low", "_high")}
    kept |= {f"{score}_chance": 0.1 for score in SCORES}
    flat = {name: 0.3 if name.startswith("ntps") else value for name, value in kept.items()}
    return {"best_layer": 3, "probe": "ridge, layer 3", "text_bits_per_byte": 3.0, "chosen": flat, "last": flat}


def planted_trace(parts, run=None):
    """The Trace of planted parts."""
    settings = TraceSettings(
        adapted=(0, 100_000, 3_000_000), seeds=(0, 1), config=budget(SHORT, None), seed=0, max_texts=None,
        max_length=None,
    )  # fmt: skip
    return assemble(run or planted_run(), settings, parts)


def rising(start, slope):
    """Right with a probability that rises by `slope` a factor of ten in tokens; `start` up to 10,000 tokens."""
    return lambda tokens: start + slope * (np.log10(max(tokens, 10_000)) - 4)


def write_run(folder, tokens=(0, 1000, 8000), *, stated=True) -> Path:
    """A RUN of small Llamas that did not learn anything: enough to be read, assessed and adapted."""
    for seed, at in enumerate(tokens):
        place = folder / "checkpoints" / f"tokens-{at}"
        write_model(place, "llama", seed=seed, lm_head=True, initializer_range=0.1)
        write_tokenizer(place)
    half = folder / "checkpoints" / ".tokens-9000.part"
    half.mkdir()
    (half / "config.json").write_text("{")
    if stated:
        facts = {"parameters": {"total": 17_000, "non_embedding": 15_000}, "train_flops_per_token": 1e5, "settings": {}}
        (folder / "run.json").write_text(json.dumps(facts))
        rows = [
            {"step": at, "tokens": at, "loss": 5.0 - at / 1e4, "held_out": {"a": {"bits_per_byte": 4.0 - at / 1e4}}}
            for at in tokens
        ]
        (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + '\n{"step": 9, "tok')
    return folder


def copy_checkpoint(folder, source, to):
    """Another checkpoint with the weights of one that is there."""
    shutil.copytree(folder / "checkpoints" / f"tokens-{source}", folder / "checkpoints" / f"tokens-{to}")


def write_hub(cache, hub_id, revisions) -> Path:
    """A hub's cache as the library lays it out, with a model's folder for each revision; what HF_HOME would be."""
    place = cache / "hub" / f"models--{hub_id.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    for number, (revision, folder) in enumerate(revisions.items()):
        commit = f"{number + 1:040x}"
        shutil.copytree(folder, place / "snapshots" / commit)
        (place / "refs" / revision).write_text(commit)
    return cache
