"""Loss curves to TensorBoard or Weights & Biases, through accelerate's own trackers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenworth.errors import SettingError, first_line

_EVERY_STEPS = 10


class Tracker:
    """Hands figures to one of accelerate's trackers, or logs nowhere."""

    def __init__(self, inner: Any = None) -> None:
        self.inner = inner

    def log(self, values: dict[str, float], step: int) -> None:
        """Figures of every tenth step, and whatever is not of every step."""
        if self.inner is not None and ("loss" not in values or step % _EVERY_STEPS == 0):
            self.inner.log(values, step=step)

    def close(self) -> None:
        """The run is over."""
        if self.inner is not None:
            self.inner.finish()


def make_tracker(kind: str | None, folder: Path | None, run: str, settings: dict[str, Any]) -> Tracker:
    """A tracker by name; None logs nowhere.

    Raises:
        SettingError: its library is not installed, there is no folder to log to, or nobody is logged in.
    """
    if kind is None:
        return Tracker()
    if find_spec(kind) is None:
        raise SettingError(f"track {kind} needs a library that is not installed: pip install {kind}")
    if folder is None:
        raise SettingError(f"track {kind} writes into the folder of the run; name one with --out")
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "tensorboard":
        from accelerate.tracking import TensorBoardTracker

        inner: Any = TensorBoardTracker(run, logging_dir=str(folder))
        inner.start()
    else:
        inner = _wandb(folder, run)
    inner.store_init_configuration({name: str(value) for name, value in settings.items()})
    return Tracker(inner)


def _wandb(folder: Path, run: str) -> Any:
    from accelerate import PartialState
    from accelerate.tracking import WandBTracker
    from wandb.errors import Error

    PartialState()  # accelerate's logger asks for it
    tracker = WandBTracker("tokenworth", name=run, dir=str(folder))
    try:
        tracker.start()
    except Error as error:
        raise SettingError(
            f"track wandb could not begin: {first_line(error)}  Without an account WANDB_MODE=offline keeps the "
            "curves in the folder of the run"
        ) from error
    return tracker
