"""Where no model can be had: a small decoder, pretrained on the docstrings and comments of installed packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tokenworth.backbones.loading.sources import find_source
from tokenworth.base.aliases import Progress
from tokenworth.base.atomic_files import write_table, writing
from tokenworth.errors import BackboneError
from tokenworth.pretraining import PretrainPage, make_config, package_texts, pretrain
from tokenworth.report import write_report
from tokenworth.tasks import Task

_CONTEXT, _BATCH = 128, 8
_TRAINING = {"lr": 6e-3, "warmup_share": 0.05, "held_out_share": 0.02, "trace_per_decade": 0}
_BYTES, _STEP_BYTES = 3_000_000, 20_000
"""Of documents, at most, and for each step: several times what it reads, as the tokenizer learns from them too."""


def is_at_hand(model: str) -> bool:
    """Whether a model can be had by its name: here, from a package, or from the hub where there is a network."""
    try:
        find_source(model)
    except BackboneError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class SmallDecoder:
    """A Llama of about a million parameters, some minutes of pretraining on two cores."""

    out: Path
    """Folder of the run; the same call goes on in it after an interruption."""
    steps: int
    """A number and no time budget, so that a seed gives the same model on a slower day."""
    seed: int
    say: Callable[[str], None]
    """Called with a sentence on what is begun or done."""
    progress: Progress | None = None

    def pretrained(self, task: Task) -> Path:
        """Folder of the last checkpoint; no text of the task is in what it was trained on."""
        room = min(_BYTES, self.steps * _STEP_BYTES)
        shown = [*task.train.texts, *task.test.texts]
        documents = package_texts(exclude=shown, seed=self.seed, max_bytes=room)
        self.say(f"pretraining a small decoder on {len(documents):,} docstrings and comments of installed packages")
        with writing(self.out) as place:
            write_table(place / "documents.parquet", pd.DataFrame({"text": documents}))
        tokens = self.steps * _BATCH * _CONTEXT
        config = make_config(
            {
                "sources": {"packages": str(self.out / "documents.parquet")},
                "tokenizer": {"vocabulary": 2048},
                "model": {"layers": 4, "width": 128, "heads": 4},
                "training": {"context": _CONTEXT, "batch": _BATCH, "tokens": tokens, **_TRAINING},
                "seed": self.seed,
            }
        )
        trained = pretrain(config, self.out, progress=self.progress)
        write_report(PretrainPage.load(self.out), self.out / "report.html")
        bits = trained.held_out["packages"]["bits_per_byte"]
        self.say(f"{trained.parameters['total']:,} parameters, {bits:.3f} bits a byte on held-out documents")
        return self.out / "checkpoints" / f"tokens-{trained.tokens}"
