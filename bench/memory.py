"""The memory of training as it is counted without weights, against what the process then holds beyond its libraries.

    python bench/memory.py --data FOLDER --models FOLDER

Decoders with random weights and the tokenizer of wikinovels-14m, imdb, two steps on one thread, a process a row.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import AutoConfig, GPT2Config, LlamaConfig, PretrainedConfig

from tokenworth.adaptation import AdaptConfig, adapt
from tokenworth.adaptation.forecast.cost_meter import peak_memory
from tokenworth.adaptation.forecast.route_forecast import forecast_route
from tokenworth.adaptation.recommended_settings import as_published
from tokenworth.backbones import account_of, load_backbone
from tokenworth.encode import tokenise
from tokenworth.tasks import load_task

TOKENIZER = "wikinovels-14m"
RUNS = (("llama", "full", 512), ("llama", "lora", 512), ("gpt2", "full", 256), ("gpt2", "lora", 512))
_TEXTS = 60


def main() -> None:
    """Print one row a run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--one", nargs=3, metavar=("FOLDER", "ROUTE", "LENGTH"), help="one row, in this process")
    options = parser.parse_args()
    if options.one:
        folder, route, length = options.one
        print(json.dumps(one(Path(folder), route, int(length), options.data)))
        return
    print(
        "| decoder | route | tokens at most | parameters, M | counted, MB | held, MB | |\n|---|---|--:|--:|--:|--:|--:|"
    )
    with TemporaryDirectory() as root:
        for family, route, length in RUNS:
            folder = written(Path(root) / family, family, options.models / TOKENIZER)
            arguments = ["--data", options.data, "--models", options.models, "--one", folder, route, str(length)]
            done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
            size, counted, held = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {family} | {route} | {length} | {size:.0f} | {counted:,.0f} | {held:,.0f} | {held / counted:.1f} |"
            )


def written(folder: Path, family: str, words: Path) -> Path:
    """A folder with a configuration and a tokenizer."""
    folder.mkdir(exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(words / name, folder)
    own = AutoConfig.from_pretrained(words)
    ids = {"vocab_size": own.vocab_size, "bos_token_id": own.bos_token_id, "eos_token_id": own.eos_token_id}
    configs: dict[str, PretrainedConfig] = {
        "llama": LlamaConfig(
            hidden_size=512, num_hidden_layers=8, intermediate_size=1408, num_attention_heads=8, head_dim=64, **ids
        ),
        "gpt2": GPT2Config(n_embd=768, n_layer=12, n_head=12, n_positions=1024, **ids),
    }
    configs[family].save_pretrained(folder)
    return folder


def one(folder: Path, route: str, length: int, data: Path) -> tuple[float, float, float]:
    """Parameters in millions, then counted at the largest pass and held beyond the libraries, in MB."""
    torch.set_num_threads(1)
    task = load_task("imdb", data=str(data), seed=0).sample(_TEXTS, seed=0)
    config = as_published(AdaptConfig(steps=2, max_length=length, mislabelled=False))
    name = f"{folder}@random"
    words = load_backbone(name, dtype="float32")
    train_N, test_M = (tokenise(words, part.texts, max_length=length).lengths for part in (task.train, task.test))
    planned = forecast_route(str(folder), route, config, task.n_classes, train_N, test_M, 1e9)
    del words
    before = resident()
    adapt(name, task, route, seed=0, config=config)
    return account_of(str(folder)).parameters / 1e6, planned.memory_bytes / 1e6, ((peak_memory() or 0) - before) / 1e6


def resident() -> int:
    """Bytes this process holds now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


if __name__ == "__main__":
    main()
