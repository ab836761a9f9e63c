"""A ladder of small decoders: five sizes by three token counts, a scaling law fitted to them, and what it predicts.

    python bench/ladder.py --corpus FILE [--out out/ladder] [--only-table]

Every rung is a run of `tokenworth pretrain` in a folder of its own with tokenizer and shards shared: stopped at any
moment, the command goes on.  The law is fitted without the runs of the largest size, and without those of the most
tokens, and predicts what was left out.  The table goes to docs/results/ladder.md.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pages import write_page

SIZES = ((2, 32), (2, 64), (3, 96), (4, 128), (5, 160))
TOKENS = (200_000, 600_000, 1_800_000)
PAGE = Path(__file__).parents[1] / "docs" / "results" / "ladder.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/ladder"))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--only-table", action="store_true")
    options = parser.parse_args()
    if not options.only_table:
        for tokens in TOKENS:
            for layers, width in SIZES:
                _train(layers, width, tokens, options)
    runs = _finished(options.out)
    runs.to_csv(options.out / "runs.csv", index=False)
    _write(runs, options)


def _train(layers: int, width: int, tokens: int, options: argparse.Namespace) -> None:
    from tokenworth.pretraining import make_config, pretrain

    config = make_config(
        {
            "sources": {"text": str(options.corpus)},
            "shards": str(options.out / "shared"),
            "tokenizer": {"vocabulary": 1024},
            "model": {"layers": layers, "width": width, "heads": width // 16},
            "training": {
                "tokens": tokens, "context": 128, "batch": 16, "lr": 3e-3 * (64 / width) ** 0.5, "warmup_share": 0.05,
                "trace_per_decade": 0, "held_out_tokens": 60_000, "dtype": "float32",
            },
            "prompts": [],
        },
        home=Path.cwd(),
    )  # fmt: skip
    run = pretrain(config, options.out / f"{layers}x{width}-{tokens}")
    print(
        f"{layers} x {width}, {run.tokens:,} tokens: {run.held_out['text']['nll']:.4f} nats, {run.seconds:.0f} s",
        flush=True,
    )


def _finished(out: Path) -> pd.DataFrame:
    """One row a run; all parameters are in products, as embedding and head are one matrix: C is about 6 N D."""
    from tokenworth.pretraining import PretrainRun

    rows: list[dict[str, Any]] = []
    for layers, width in SIZES:
        for tokens in TOKENS:
            folder = out / f"{layers}x{width}-{tokens}"
            if (folder / "run.json").is_file() and (run := PretrainRun.load(folder)).finished:
                held = run.held_out["text"]
                rows.append(
                    {
                        "layers": layers, "width": width, "parameters": run.parameters["total"], "tokens": run.tokens,
                        "loss": held["nll"], "bits_per_byte": held["bits_per_byte"],
                        "flops": run.train_flops_per_token * run.tokens, "seconds": run.seconds,
                    }
                )  # fmt: skip
    return pd.DataFrame(rows)


def _write(runs: pd.DataFrame, options: argparse.Namespace) -> None:
    lines = [
        "# A ladder of small decoders",
        "",
        f"{len(runs)} runs of {options.corpus.name}: held-out nats a token (bits a byte); 1,024 pieces, context",
        "128, 16 sequences a step, cosine to a tenth.",
        "",
        "    python bench/ladder.py --corpus FILE",
        "",
        "| parameters | " + " | ".join(f"{tokens / 1e6:g} M tokens" for tokens in TOKENS) + " |",
        "|--:|" + "--:|" * len(TOKENS),
    ]
    for _, own in runs.groupby("parameters"):
        cells = [f"{row.loss:.3f} ({row.bits_per_byte:.3f})" for row in own.sort_values("tokens").itertuples()]
        lines.append(f"| {int(own['parameters'].iloc[0]):,} | " + " | ".join(cells) + " |")
    lines += ["", *_fits(runs)]
    write_page(options.page, lines)


def _fits(runs: pd.DataFrame) -> list[str]:
    """Each form on all runs, and what it predicts of those it did not see."""
    from tokenworth.errors import SettingError
    from tokenworth.scaling_laws import fit_scaling

    lines = ["| form | fitted to | constants (95 % over runs) | predicted | error |", "|---|---|---|---|--:|"]
    largest, longest = runs["parameters"].max(), runs["tokens"].max()
    parts = {
        "all runs": (runs, runs),
        "all but the largest size": (runs[runs["parameters"] < largest], runs[runs["parameters"] == largest]),
        "all but the most tokens": (runs[runs["tokens"] < longest], runs[runs["tokens"] == longest]),
    }
    for form in ("chinchilla", "kaplan"):
        for name, (seen, unseen) in parts.items():
            try:
                fit = fit_scaling(seen, form)
            except SettingError as error:
                lines.append(f"| {form} | {name} | {error} | | |")
                continue
            off = np.abs(np.log(fit.loss(unseen["parameters"], unseen["tokens"]) / unseen["loss"])).mean()
            values = asdict(fit)
            constants = ", ".join(
                f"{key} {value:.3g} ({values['low'].get(key, np.nan):.2g} to {values['high'].get(key, np.nan):.2g})"
                for key, value in fit.constants.items()
            )
            what = "itself" if seen is unseen else "the runs left out"
            lines.append(f"| {form} | {name} | {constants} | {what} | {off:.1%} |")
    return lines


if __name__ == "__main__":
    main()
