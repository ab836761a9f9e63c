"""What the balance loss does to the experts of a mixture that is really trained: with it and without.

    python bench/router.py --data SHARED/data/corpora [--out out/router] [--tokens 300000]

Two runs of one decoder (4 experts, 2 a token) on 2 MB each of Wikipedia and novels, then what `tokenworth measure
router` says of both.  Writes docs/results/router.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pages import write_page
from tokenworth.measures import documents_of, load_decoder, router_load, rows_of
from tokenworth.pretraining import PretrainRun, make_config, pretrain

PAGE = Path(__file__).parents[1] / "docs" / "results" / "router.md"
MODEL = {"layers": 4, "width": 96, "heads": 4, "experts": 4, "experts_per_token": 2, "inner_width": 128}
BALANCES = (0.01, 0.0)
LENGTH = 128
SOURCES = {"wikipedia": "wikipedia_en_2018.parquet", "novels": "english_novels.parquet"}
_BYTES = 2_000_000
HEADS = ("balance loss", "layer", "cv", "entropy", "dead", "balance", "load of each expert, %")


def main() -> None:
    """Train, measure, write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/router"))
    parser.add_argument("--tokens", type=int, default=300_000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    documents = documents_of([options.data / "wikitext2_test.txt.zst"])
    runs = {balance: trained(balance, options.data, options.out, options.tokens) for balance in BALANCES}
    rows = {balance: load_rows(run, options.out / f"balance-{balance:g}", documents) for balance, run in runs.items()}
    write_page(PAGE, page(runs, rows))


def trained(balance: float, data: Path, out: Path, tokens: int) -> PretrainRun:
    """One run; a finished one is read."""
    config = make_config(
        {
            "sources": {name: str(sampled(data / file, out / f"{name}.jsonl")) for name, file in SOURCES.items()},
            "tokenizer": {"vocabulary": 2048}, "model": {**MODEL, "balance": balance}, "prompts": [],
            "shards": str(out.resolve() / "shards"),
            "training": {"tokens": tokens, "context": LENGTH, "batch": 16, "lr": 2e-3, "trace_per_decade": 0},
        }
    )  # fmt: skip
    return pretrain(config, out / f"balance-{balance:g}")


def sampled(file: Path, place: Path) -> Path:
    """The first documents of a corpus, up to _BYTES."""
    place.parent.mkdir(parents=True, exist_ok=True)
    left = _BYTES
    with place.open("w", encoding="utf-8") as opened:
        for text in pd.read_parquet(file, columns=["text"])["text"]:
            if (left := left - len(text.encode())) < 0:
                break
            opened.write(json.dumps({"text": text}) + "\n")
    return place.resolve()


def load_rows(run: PretrainRun, folder: Path, documents: Sequence[str]) -> list[dict[str, Any]]:
    """The load of every layer on texts it has not learnt from."""
    decoder = load_decoder(str(folder / "checkpoints" / f"tokens-{run.tokens}"))
    return router_load(decoder, rows_of(decoder, documents, LENGTH, most=200)).layers()


def page(runs: dict[float, PretrainRun], rows: dict[float, list[dict[str, Any]]]) -> list[str]:
    """The tables."""
    one = next(iter(runs.values()))
    setting = (
        f"{MODEL['layers']} layers, width {MODEL['width']}, {MODEL['experts']} experts of which "
        f"{MODEL['experts_per_token']} work for a token: {one.parameters['total'] / 1e6:.2f} million parameters, "
        f"{one.parameters['active'] / 1e6:.2f} of them active. {one.tokens:,} tokens of Wikipedia and English novels "
        "in equal parts, 2,048 pieces, context 128, float32, one thread, seed 0. The load is that of 200 texts of 128 "
        "tokens of wikitext2_test."
    )
    checkpoint = f"out/router/balance-0/checkpoints/tokens-{one.tokens}"
    commands = [
        "    python bench/router.py --data CORPORA",
        f"    tokenworth measure router {checkpoint} CORPORA/wikitext2_test.txt.zst",
    ]
    lines = ["# Experts, balanced and left alone", "", setting, "", *commands, ""]
    lines += [f"| {' | '.join(HEADS)} |", f"|{'--:|' * (len(HEADS) - 1)}---|"]
    lines += [_line(balance, row) for balance, own in rows.items() for row in own]
    lines += ["", "| balance loss | " + " | ".join(f"{name}, bits a byte" for name in one.held_out) + " |"]
    lines.append(f"|{'--:|' * (1 + len(one.held_out))}")
    for balance, run in runs.items():
        figures = [f"{held['bits_per_byte']:.3f}" for held in run.held_out.values()]
        lines.append(f"| {balance:g} | {' | '.join(figures)} |")
    return lines


def _line(balance: float, row: dict[str, Any]) -> str:
    load = " ".join(f"{100 * share:.0f}" for share in row["load"])
    figures = [f"{row['cv']:.3f}", f"{row['entropy']:.3f}", f"{row['dead']:.0%}", f"{row['balance']:.3f}"]
    return f"| {balance:g} | {row['layer']} | {' | '.join(figures)} | {load} |"


if __name__ == "__main__":
    main()
