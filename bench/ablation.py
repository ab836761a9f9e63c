"""Each part of 2017 in the place of its successor, at equal tokens and nearly equal parameters.

    python bench/ablation.py --corpus FILE [--out out/ablation] [--seeds 0 1] [--only-table]

Every row is the same decoder with one part changed (the last with all of them), from two seeds.  Runs go on where they
were stopped.  The table goes to docs/results/ablation.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean
from typing import Any

from pages import write_page

PARTS: dict[str, dict[str, Any]] = {
    "today's parts": {},
    "LayerNorm for RMSNorm": {"normalisation": "layernorm"},
    "norm behind the sum (post)": {"norm_place": "post"},
    "GELU for SwiGLU": {"feed_forward": "gelu"},
    "biases": {"bias": True},
    "learned positions for RoPE": {"positions": "learned"},
    "one key-value head (MQA)": {"kv_heads": 1},
    "4 experts, 2 a token": {"experts": 4, "inner_width": 192},
}
PARTS["all parts of 2017"] = {
    name: value
    for part in (
        "LayerNorm for RMSNorm",
        "norm behind the sum (post)",
        "GELU for SwiGLU",
        "biases",
        "learned positions for RoPE",
    )
    for name, value in PARTS[part].items()
}
SEEDS = (0, 1)
PAGE = Path(__file__).parents[1] / "docs" / "results" / "ablation.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("out/ablation"))
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--tokens", type=int, default=500_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="to train; the table has all there are")
    parser.add_argument("--only-table", action="store_true")
    options = parser.parse_args()
    if not options.only_table:
        for seed in options.seeds:
            for name in PARTS:
                _train(name, seed, options)
    _write(options)


def _folder(name: str, seed: int, out: Path) -> Path:
    return out / f"{list(PARTS).index(name)}-{seed}"


def _train(name: str, seed: int, options: argparse.Namespace) -> None:
    from tokenworth.pretraining import make_config, pretrain

    config = make_config(
        {
            "sources": {"text": str(options.corpus)},
            "shards": str(options.out / f"shared-{seed}"),
            "tokenizer": {"vocabulary": 1024},
            "model": {"layers": 4, "width": 128, "heads": 8, **PARTS[name]},
            "training": {
                "tokens": options.tokens, "context": 128, "batch": 16, "lr": 2e-3, "warmup_share": 0.05,
                "trace_per_decade": 0, "held_out_tokens": 60_000, "dtype": "float32",
            },
            "prompts": [],
            "seed": seed,
        },
        home=Path.cwd(),
    )  # fmt: skip
    run = pretrain(config, _folder(name, seed, options.out))
    print(f"{name}, seed {seed}: {run.held_out['text']['nll']:.4f} nats, {run.seconds:.0f} s", flush=True)


def _write(options: argparse.Namespace) -> None:
    from tokenworth.pretraining import PretrainRun

    found = {
        name: [
            PretrainRun.load(folder)
            for seed in SEEDS
            if ((folder := _folder(name, seed, options.out)) / "run.json").is_file()
        ]
        for name in PARTS
    }
    base = mean(run.held_out["text"]["nll"] for run in found["today's parts"])
    lines = [
        "# Today's parts against those of 2017",
        "",
        "A decoder of 4 layers, width 128, 1,024 pieces, context 128; the same",
        f"{options.tokens:,} tokens of {options.corpus.name} for every row; nats a token on held-out",
        "documents, mean over seeds (half their range).",
        "",
        f"    python bench/ablation.py --corpus {options.corpus}",
        "",
        "| parts | parameters | FLOPs a token | nats a token | against today's | bits a byte |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, runs in found.items():
        finished = [run for run in runs if run.finished]
        if not finished:
            continue
        nats = [run.held_out["text"]["nll"] for run in finished]
        spread = f" (±{(max(nats) - min(nats)) / 2:.3f})" if len(nats) > 1 else ""
        bits = mean(run.held_out["text"]["bits_per_byte"] for run in finished)
        first = finished[0]
        lines.append(
            f"| {name} | {first.parameters['total']:,} | {first.train_flops_per_token:.2e} | {mean(nats):.3f}{spread} "
            f"| {mean(nats) - base:+.3f} | {bits:.3f} |"
        )
    write_page(options.page, lines)


if __name__ == "__main__":
    main()
