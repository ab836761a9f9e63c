"""The command line of benchmarks that look at some layers of one model on one task, and what it names."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import tokenworth as tw


def layer_options(doc: str, texts: int) -> tuple[argparse.Namespace, tw.Task, list[int]]:
    """What was asked for, on one thread: the options, the task cut to so many texts of each part, and the layers."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", default="rotten_tomatoes")
    parser.add_argument("--texts", type=int, default=texts, help="of each part")
    parser.add_argument("--max-length", type=int, default=128)
    parser.add_argument("--layers", default="0,8,15,22,30")
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = tw.load_task(options.task, data=options.data, max_texts=options.texts)
    return options, task, [int(layer) for layer in options.layers.split(",")]
