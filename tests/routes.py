"""What the tests of the routes share: short settings, a model that learns fast, and a run to be killed."""

from pathlib import Path

from planted import planted_task
from small_models import write_folder
from tokenworth.adaptation import adapt

SHORT = {"steps": 12, "lr": 1e-3, "rank": 4, "mislabelled": False}


def model_at(folder: Path, family: str = "llama", **changes) -> str:
    """A small model with weights of ordinary size, so that training behaves."""
    return str(write_folder(folder / family, family, initializer_range=0.1, **changes))


def run(model, route: str, folder, *, n_train: int = 40, seed: int = 0, **settings):
    """A short run on the planted task; also what a process that is going to be killed does."""
    return adapt(model, planted_task(n_train), route, seed=seed, out=folder, config={**SHORT, **settings})
