"""Processes that tests start and kill, forked from one server that has imported the libraries.

Starting Python and its libraries costs seconds, forking milliseconds.  The server keeps the environment of the test
that first needed it, where the cache may be another and `auto` another number format: a process gets that of its own.
"""

import multiprocessing
import os
import signal
from multiprocessing.context import ForkServerContext
from pathlib import Path

PRELOADED = [
    "commands", "routes", "passes", "corpora", "tokenworth.cli", "tokenworth.assessment", "tokenworth.adaptation",
    "tokenworth.study", "tokenworth.report", "tokenworth.pretraining.pretrain_run", "transformers",
    "transformers.models.llama.modeling_llama", "peft", "sklearn.linear_model",
]  # fmt: skip


def forked(target, *arguments, environment=None):
    """A process that calls a function, not yet begun, in this environment or the caller's."""
    here = dict(os.environ if environment is None else environment)
    return server().Process(target=_in, args=(here, target, arguments))


def server() -> ForkServerContext:
    """The context whose server has imported the libraries; what processes share is made of it too."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def _in(environment, target, arguments):
    os.environ.clear()
    os.environ.update(environment)
    target(*arguments)


def has_checkpoint(folder: Path) -> bool:
    """Whether a run has a whole checkpoint there; one that is still written has another name."""
    return any(place.suffix != ".part" for place in folder.glob("step-*"))


def killed_once_kept(process, folder: Path) -> bool:
    """Start a process and kill it when a checkpoint is whole; whether there was one before it had done."""
    process.start()
    while process.is_alive():
        if has_checkpoint(folder):
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            return True
        process.join(0.02)
    return False
