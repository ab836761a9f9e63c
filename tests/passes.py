"""Passes over planted texts, run here or in other processes, and what they left behind."""

import os
import time
from pathlib import Path

import torch

from planted import planted_task
from tokenworth.backbones import load_backbone
from tokenworth.base.processes import join_processes, leave_processes
from tokenworth.encode import Reading, tokenise
from tokenworth.errors import TokenworthError
from tokenworth.features import PassSettings, Store, gather_features
from tokenworth.features.weight_sharding import shard

HUGE = 10**12


def store_at(folder, max_bytes=HUGE):
    return Store(Path(folder), max_bytes)


def texts_of(n_train=150, n_test=50):
    task = planted_task(n_train, n_test)
    return {"train": task.train.texts, "test": task.test.texts}


def run_pass(model, folder, *, parts=None, processes=None, progress=None, max_bytes=HUGE, **settings):
    """The pass over planted texts with a folder's model, float32, every layer unless told otherwise."""
    backbone = load_backbone(str(model), device="cpu", dtype="float32") if isinstance(model, str | Path) else model
    tokens = {name: tokenise(backbone, texts) for name, texts in (parts or texts_of()).items()}
    states, poolings = settings.pop("states", "raw"), settings.pop("poolings", ("mean",))
    every = {"layers": tuple(range(backbone.n_layers + 1)), "batch_tokens": 64}
    wanted = PassSettings(**every | settings, readings=tuple(Reading(how, states) for how in poolings))
    return gather_features(
        backbone, tokens, wanted, store_at(folder, max_bytes), processes=processes, progress=progress
    )


def contents(features):
    """Everything a pass leaves, as one dictionary of tensors."""
    found = {}
    for layer in features.settings.layers:
        for part in features.places:
            found[f"{part} {layer}"] = torch.from_numpy(features.part(part, layer))
        for name, tensor in features.context(layer).sums.tensors().items():
            found[f"{name} {layer}"] = tensor
    return found


def slow_pass(model, folder, seconds_a_batch, batches, settings):
    """For a process that will be killed: counts its batches (a shared value) and takes its time for each."""
    torch.set_num_threads(1)

    def progress(_part, _done, _total):
        batches.value += 1
        time.sleep(seconds_a_batch)

    run_pass(model, folder, progress=progress, checkpoint_seconds=0.0, **settings)


def shared_pass(model, folder, rank, size, port, settings):
    """For one of several processes that share a pass."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    try:
        processes = join_processes()
        if settings.pop("shard", False):
            model = shard(load_backbone(str(model), device="cpu", dtype="float32"))
        seconds = settings.pop("seconds_a_batch", 0.0)
        run_pass(model, folder, processes=processes, progress=lambda *_: time.sleep(seconds), **settings)
    except TokenworthError as error:
        Path(folder).mkdir(exist_ok=True)
        (Path(folder) / f"failure-{rank}").write_text(str(error))
    leave_processes()
