"""What the tests of the routes share: short settings, a model that learns fast, and a run to be killed."""

import time
from pathlib import Path

from planted import planted_task
from small_models import write_folder
from tokenworth.adaptation import adapt

SHORT = {"steps": 12, "lr": 1e-3, "rank": 4, "mislabelled": False}


def model_at(folder: Path, family: str = "llama", **changes) -> str:
    """A small model with weights of ordinary size, so that training behaves."""
    return str(write_folder(folder / family, family, initializer_range=0.1, **changes))


def run(model, route: str, folder, *, n_train: int = 40, seed: int = 0, progress=None, **settings):
    """A short run on the planted task."""
    config = {**SHORT, **settings}
    return adapt(model, planted_task(n_train), route, seed=seed, out=folder, config=config, progress=progress)


def paced_run(model, route: str, folder, seconds_a_step: float, settings):
    """For a process that will be killed: a fast machine must not be done before."""

    def progress(what, _done, _all):
        if what == "train":
            time.sleep(seconds_a_step)

    run(model, route, folder, progress=progress, **settings)
