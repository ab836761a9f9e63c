"""Training throughput against transformers' Trainer with peft: real tokens a second, padding apart.

    python bench/training.py --data FOLDER --models FOLDER [--steps 20] [--pairs 3] [--routes lora full] \
        [--name smollm2-135m] [--dtype bfloat16] [--threads 2] [--variants ours trainer]

Same model, texts, batch of 8, steps and learning rate.  Trainer runs with its defaults (AdamW, batches padded to their
longest text), and once more with Adafactor, which is ours: there the loss curves must agree within noise.  In bfloat16
both keep what learns in float32 and compute products in bfloat16 (Trainer's bf16), LoRA over weights in bfloat16.
Interleaved, medians.  The last columns leave out one measure of ours at a time.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import transformers

from tokenworth.adaptation import adapt
from tokenworth.adaptation.routes.lora import target_modules
from tokenworth.backbones import load_backbone
from tokenworth.tasks import Split, Task, load_task
from tokenworth.tasks.task import count

VARIANTS = ("ours", "trainer", "adafactor", "padded", "slow")
MIXES = {"short": ("rotten_tomatoes",), "mixed": ("rotten_tomatoes", "imdb")}


@dataclass(frozen=True)
class Speed:
    """One run."""

    tokens: float
    """Real tokens a second."""
    loss: float
    """Mean of the last half of the steps."""
    padded: float
    """Computed over real tokens."""


def main() -> None:
    """Print one row a mix of texts and a route."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--name", default="wikinovels-14m")
    parser.add_argument("--routes", nargs="+", default=["lora", "full", "scratch"])
    parser.add_argument("--mixes", nargs="+", default=list(MIXES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--max-length", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, transformers {transformers.__version__}, {options.threads} CPU thread(s), "
        f"{options.dtype}; {options.name}, {options.steps} steps of 8 texts cut at {options.max_length} tokens; "
        f"real tokens/s, medians of {options.pairs} interleaved runs; loss: mean of the last half\n"
    )
    heads = ("texts", "route", "ours", "Trainer", "ours / Trainer", "Trainer, Adafactor",
             "loss ours / Trainer, Adafactor", "padded ours / Trainer", "without packing",
             "with transformers' Adafactor")  # fmt: skip
    print(f"| {' | '.join(heads)} |\n|---|---|{'--:|' * (len(heads) - 2)}")
    for mix in options.mixes:
        task = mixed_task(options.data, MIXES[mix])
        for route in options.routes:
            print(row(mix, route, task, options), flush=True)


def mixed_task(data: Path, names: tuple[str, ...], texts: int = 120) -> Task:
    """The same number of texts of each task, two classes."""
    parts = [load_task(name, data=data).sample(texts // len(names)) for name in names]
    train, test = (
        Split(
            [t for part in parts for t in getattr(part, side).texts],
            np.concatenate([getattr(part, side).labels for part in parts]),
        )
        for side in ("train", "test")
    )
    return Task("mixed", "", ("neg", "pos"), train, test.take(np.arange(8)), (), count(train, test, 2), 0)


def row(mix: str, route: str, task: Task, options: argparse.Namespace) -> str:
    """All variants in turn, again and again."""
    model = str(options.models / options.name)
    every: dict[str, Callable[[], Speed]] = {
        "ours": lambda: ours(model, task, route, options),
        "trainer": lambda: trainer(model, task, route, options, "adamw_torch_fused"),
        "adafactor": lambda: trainer(model, task, route, options, "adafactor"),
        "padded": lambda: ours(model, task, route, options, packing=False),
        "slow": lambda: with_their_adafactor(model, task, route, options),
    }
    found: dict[str, list[Speed]] = {name: [] for name in options.variants}
    for _ in range(options.pairs):
        for name, speeds in found.items():
            speeds.append(every[name]())
    rate, loss, padded = (
        {name: median(getattr(speed, of) for speed in found[name]) if name in found else math.nan for name in every}
        for of in ("tokens", "loss", "padded")
    )
    return (
        f"| {mix} | {route} | {rate['ours']:,.0f} | {rate['trainer']:,.0f} | {rate['ours'] / rate['trainer']:.2f} | "
        f"{rate['adafactor']:,.0f} | {loss['ours']:.3f} / {loss['adafactor']:.3f} | "
        f"{padded['ours']:.2f} / {padded['trainer']:.2f} | {rate['padded']:,.0f} | {rate['slow']:,.0f} |"
    )


def ours(model: str, task: Task, route: str, options: argparse.Namespace, **changes: Any) -> Speed:
    """The protocol's loop with the head that Trainer has."""
    config = {"steps": options.steps, "max_length": options.max_length, "pooling": "last", "head_bias": False,
              "dropout": 0.0, "mislabelled": False, "dtype": options.dtype, **changes}  # fmt: skip
    result = adapt(model, task, route, config=config)
    losses = result.training["losses"]
    return Speed(
        result.cost["tokens"] / result.cost["loop_seconds"],
        mean(losses[len(losses) // 2 :]),
        result.cost["padded_tokens"] / result.cost["tokens"],
    )


def with_their_adafactor(model: str, task: Task, route: str, options: argparse.Namespace) -> Speed:
    """Ours, with the optimiser of transformers."""
    from transformers.optimization import Adafactor

    def make(parameters: dict[str, Any], config: Any) -> Any:
        return Adafactor(list(parameters.values()), lr=config.lr, weight_decay=config.weight_decay, relative_step=False,
                         scale_parameter=False, warmup_init=False)  # fmt: skip

    with patch("tokenworth.adaptation.training.route_training.make_optimiser", make):
        return ours(model, task, route, options)


def trainer(model: str, task: Task, route: str, options: argparse.Namespace, optimiser: str) -> Speed:
    """transformers' Trainer and peft, defaults but the settings compared."""
    tokenizer = load_backbone(model).tokenizer
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    network = _network(model, task, route, tokenizer, options.dtype)
    encoded = tokenizer(task.train.texts, truncation=True, max_length=options.max_length)
    rows = [
        {"input_ids": ids, "labels": int(label)}
        for ids, label in zip(encoded["input_ids"], task.train.labels, strict=True)
    ]
    collator = _Counting(tokenizer)
    settings = transformers.TrainingArguments(
        output_dir="out/trainer", per_device_train_batch_size=8, max_steps=options.steps, learning_rate=1e-4,
        lr_scheduler_type="cosine", warmup_steps=round(0.05 * options.steps), weight_decay=1e-5, optim=optimiser,
        report_to=[], save_strategy="no", logging_steps=1, use_cpu=True, seed=0, disable_tqdm=True,
        bf16=options.dtype == "bfloat16", dataloader_pin_memory=False,
    )  # fmt: skip
    run = transformers.Trainer(network, settings, train_dataset=rows, data_collator=collator)
    run.pop_callback(transformers.PrinterCallback)
    seconds = run.train().metrics["train_runtime"]
    losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    return Speed(collator.tokens / seconds, mean(losses[len(losses) // 2 :]), collator.places / collator.tokens)


def _network(model: str, task: Task, route: str, tokenizer: Any, dtype: str) -> Any:
    auto = transformers.AutoModelForSequenceClassification
    if route == "scratch":
        config = transformers.AutoConfig.from_pretrained(model, num_labels=task.n_classes, dtype="float32")
        network = auto.from_config(config)
    else:
        network = auto.from_pretrained(model, num_labels=task.n_classes, dtype=dtype if route == "lora" else "float32")
    network.config.pad_token_id = tokenizer.pad_token_id
    if route != "lora":
        return network
    from peft import LoraConfig, get_peft_model

    targets = target_modules(network.base_model, "", ("auto",))
    return get_peft_model(network, LoraConfig(r=32, lora_alpha=32, lora_dropout=0.05, target_modules=targets,
                                              task_type="SEQ_CLS"))  # fmt: skip


class _Counting:
    """The default collator of tokenised texts, counting what it pads."""

    def __init__(self, tokenizer: Any) -> None:
        self.inner = transformers.DataCollatorWithPadding(tokenizer)
        self.tokens = self.places = 0

    def __call__(self, rows: list[Any]) -> Any:
        batch = self.inner(rows)
        self.tokens += int(batch["attention_mask"].sum())
        self.places += batch["attention_mask"].numel()
        return batch


if __name__ == "__main__":
    main()
