"""Bits a byte of held-out text at every checkpoint, measured where the pretraining has left no record of its losses."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenworth.base.aliases import Facts
from tokenworth.base.cell_store import content_hash
from tokenworth.encode.text_loss import loss_of
from tokenworth.tokenizers.document_stream import stream_documents
from tokenworth.tokenizers.source_settings import SourceConfig
from tokenworth.tracing.run_losses import Losses
from tokenworth.tracing.run_reader import Checkpoint, Run
from tokenworth.tracing.trace_cells import Cells
from tokenworth.tracing.trace_settings import TraceCall


def held_out_texts(path: str | Path) -> list[str]:
    """Documents of a file or folder, as pretraining reads them.

    Raises:
        SettingError: there is no such file, it cannot be read, or has no text.
    """
    return list(stream_documents("texts", SourceConfig(path=str(path))))


def with_held_out_losses(run: Run, texts: list[str], cells: Cells, dtype: str, call: TraceCall) -> Run:
    """The run with bits a byte of these texts in place of what it has noted itself.

    Of every text as many tokens count as of a task's; of more than 500 texts a sample is taken (see `text_loss`).
    """
    content = content_hash(texts)
    bits = {
        checkpoint.tokens: _bits_per_byte(checkpoint, texts, content, cells, dtype, call)
        for checkpoint in run.checkpoints
    }
    bits = {tokens: value for tokens, value in bits.items() if math.isfinite(value)}
    name = Path(call.texts or "texts").name
    notes = () if bits else (f"These checkpoints predict no next tokens, so {name} has no bits a byte.",)
    return replace(run, losses=Losses(bits, (name,) if bits else (), run.losses.train), notes=(*run.notes, *notes))


def _bits_per_byte(
    checkpoint: Checkpoint, texts: list[str], content: str, cells: Cells, dtype: str, call: TraceCall
) -> float:
    """As a cell; NaN where the model predicts no next tokens."""
    running = {"max_length": call.max_length, "seed": call.seed}

    def make(_work: Path) -> Facts:
        if call.started is not None:
            call.started(f"held-out loss of the checkpoint of {checkpoint.tokens:,} tokens")
        place: dict[str, Any] = {"revision": checkpoint.revision, "device": call.device, "dtype": dtype, **running}
        return {**loss_of(checkpoint.model, texts, **place), "dtype": dtype}

    cell = cells.once({"kind": "loss", "weights": checkpoint.fingerprint, "texts": content, **running}, make)
    return math.nan if cell["bits_per_byte"] is None else float(cell["bits_per_byte"])
