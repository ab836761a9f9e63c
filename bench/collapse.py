"""Model collapse: decoders that learn from the samples of the one before, with real text thrown away or kept.

    python bench/collapse.py --data SHARED/data/corpora [--generations 3] [--megabytes 0.05]

Generation 0 learns from real text and writes as much again.  Under "replace" each next generation learns from the
last samples alone, under "accumulate" from the real text and all samples so far.  Every one is a new decoder, of the
same size and trained as long.  Writes docs/results/collapse.md.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from pages import write_page
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.corpus.diversity import LIMITS, alarm, beside_real
from tokenworth.measures import documents_of
from tokenworth.pretraining import make_config, pretrain
from tokenworth.tokenizers.tokenizer import SEPARATOR

PAGE = Path(__file__).parents[1] / "docs" / "results" / "collapse.md"
WAYS: dict[str, Callable[[list[str], list[str]], list[str]]] = {
    "replace": lambda _before, made: made,
    "accumulate": lambda before, made: before + made,
}
"""What the next generation learns from, given what this one learnt from and wrote."""
MEASURES = ("distinct_1", "distinct_2", "distinct_4", "compression")
_DOCUMENT = 240  # characters: about what a decoder of 64 tokens writes


@dataclass(frozen=True, slots=True)
class Text:
    """Real text in three parts that share no document."""

    learn: list[str]
    compare: list[str]
    """What variety is held against."""
    held_out: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The decoders and how they are sampled."""

    model: dict[str, Any]
    training: dict[str, Any]
    vocabulary: int
    generations: int = 5
    temperature: float = 0.6
    """Of the samples: below 1, as generated text usually is."""
    seed: int = 0


def main() -> None:
    """Run both ways and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--generations", type=int, default=3)
    parser.add_argument("--megabytes", type=float, default=0.05)
    parser.add_argument("--temperature", type=float, default=0.6)
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings(
        model={"layers": 2, "width": 64, "heads": 4},
        training={"tokens": 160_000, "context": 64, "batch": 16, "lr": 5e-3, "held_out_tokens": 8_000},
        vocabulary=1500,
        generations=options.generations,
        temperature=options.temperature,
    )
    text = real_text(options.data / "tinystories_sample.txt.zst", options.megabytes)
    rows: dict[str, list[dict[str, Any]]] = {}
    with TemporaryDirectory() as folder:
        for way in WAYS:
            rows[way] = []
            for row in generations(text, way, Path(folder) / way, settings):
                rows[way].append(row)
                print(
                    way, {name: round(row[name], 3) for name in ("bits_per_byte", *MEASURES)}, row["alarms"], flush=True
                )
    write_page(PAGE, page(rows, settings, options.megabytes))


def real_text(file: Path, megabytes: float) -> Text:
    """Pieces of stories, as much to learn as to compare, and a little to be measured on."""
    stories = documents_of([file], whole=True)
    pieces = [story[i : i + _DOCUMENT].partition(" ")[2] for story in stories for i in range(0, len(story), _DOCUMENT)]
    random.Random(0).shuffle(pieces)
    count = int(megabytes * 1e6 / _DOCUMENT)
    assert len(pieces) > 2 * count, f"{len(pieces)} pieces: ask for fewer megabytes"
    return Text(pieces[:count], pieces[count : 2 * count], pieces[2 * count : 2 * count + 150])


def generations(text: Text, way: str, folder: Path, settings: Settings) -> Iterator[dict[str, Any]]:
    """A row a generation: what it learnt from, its bits a byte on real text, and the variety of what it learnt from.

    Args:
        text: real documents.
        way: one of WAYS.
        folder: for runs and samples.
        settings: of all generations.
    """
    learnt, real = text.learn, sum(map(len, text.learn))
    tokenizer: str | None = None
    for number in range(settings.generations + 1):
        home = folder / str(number)
        run = _trained(learnt, text.held_out, home, tokenizer, settings, number)
        yield {
            "generation": number,
            "real": real / sum(map(len, learnt)) if way == "accumulate" or number == 0 else 0.0,
            "bits_per_byte": run.held_out["real"]["bits_per_byte"],
            **beside_real(learnt, text.compare, seed=settings.seed),
            "alarms": alarm(learnt, text.compare, seed=settings.seed),
        }
        tokenizer = tokenizer or str(home / "run" / "tokenizer")
        checkpoint = home / "run" / "checkpoints" / f"tokens-{run.tokens}"
        learnt = WAYS[way](learnt, written(checkpoint, real, settings, number))


def _trained(
    learnt: list[str], held_out: list[str], home: Path, tokenizer: str | None, settings: Settings, number: int
) -> Any:
    home.mkdir(parents=True)
    for name, documents in (("learnt", learnt), ("real", held_out)):
        lines = (json.dumps({"text": document}) for document in documents)
        (home / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    config = make_config(
        {
            "sources": {"learnt": "learnt.jsonl"}, "held_out": {"real": "real.jsonl"}, "prompts": [],
            "tokenizer": tokenizer or {"vocabulary": settings.vocabulary}, "model": settings.model,
            "training": {**settings.training, "held_out_share": 0, "trace_per_decade": 0, "dtype": "float32"},
            "seed": settings.seed + number,
        },
        home=home,
    )  # fmt: skip
    return pretrain(config, home / "run")


@torch.no_grad()
def written(checkpoint: Path, characters: int, settings: Settings, number: int) -> list[str]:
    """Documents a decoder writes from nothing, until they have so many characters."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    found: list[str] = []
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(settings.seed + number)
        model = AutoModelForCausalLM.from_pretrained(checkpoint)
        tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        begin = torch.full((128, 1), tokenizer.eos_token_id)
        while sum(map(len, found)) < characters:
            ids = model.generate(
                begin, attention_mask=torch.ones_like(begin), do_sample=True, temperature=settings.temperature, top_k=0,
                max_length=model.config.max_position_embeddings, eos_token_id=None,
                pad_token_id=tokenizer.eos_token_id)  # fmt: skip
            pieces = (piece for row in tokenizer.batch_decode(ids) for piece in row.split(SEPARATOR))
            found += [piece for piece in pieces if piece.strip()]
    sizes = list(accumulate(map(len, found)))
    return found[: 1 + next(i for i, size in enumerate(sizes) if size >= characters)]


def page(rows: dict[str, list[dict[str, Any]]], settings: Settings, megabytes: float) -> Sequence[str]:
    """The tables."""
    setting = (
        f"{settings.model['layers']} layers, width {settings.model['width']}, {settings.vocabulary:,} pieces, context "
        f"{settings.training['context']}; {megabytes:g} MB of children's stories (TinyStories), "
        f"{settings.training['tokens']:,} tokens a generation, samples at temperature {settings.temperature:g}, seed "
        f"{settings.seed}."
    )
    limits = ", ".join(f"{name} below {limit:g}" for name, limit in LIMITS.items())
    columns = (
        "Bits a byte are those of real held-out documents. The other columns are the variety of what a generation "
        f"learnt from over that of other real text (`corpus.diversity.beside_real`); `alarm` rings at {limits}."
    )
    command = f"    python bench/collapse.py --data CORPORA --temperature {settings.temperature:g}"
    lines = ["# Collapse: learning from one's own samples", "", setting, "", command, "", columns, ""]
    for way, own in rows.items():
        heads = ("generation", "real text", "bits a byte", *MEASURES, "alarm")
        lines += [f"## {way.capitalize()}", "", f"| {' | '.join(heads)} |", f"|{'--:|' * (len(heads) - 1)}---|"]
        lines += [_line(row) for row in own]
        lines.append("")
    return lines


def _line(row: dict[str, Any]) -> str:
    rung = ", ".join(one.split(" is ")[0] for one in row["alarms"]) or "-"
    figures = [f"{row['bits_per_byte']:.3f}", *(f"{row[name]:.3f}" for name in MEASURES)]
    return f"| {row['generation']} | {row['real']:.0%} | {' | '.join(figures)} | {rung} |"


if __name__ == "__main__":
    main()
