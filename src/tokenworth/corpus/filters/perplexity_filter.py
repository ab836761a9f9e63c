"""The stage that drops what a model predicts too badly, or too well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from tokenworth.corpus.document import Document, Ledger
from tokenworth.corpus.engine.stage import ModelStage, ShardStage
from tokenworth.errors import SettingError
from tokenworth.settings import Bounds, NonNegative, check_fields

_BIN = 0.25


@dataclass(frozen=True, kw_only=True, slots=True)
class Perplexity(ModelStage, ShardStage):
    """Documents whose bits a byte under a model lie outside the limits are dropped, under the limit's name.

    Bits a byte are the perplexity's logarithm over the bytes of the text, log2(perplexity) * tokens / bytes, which
    compare across tokenizers.  Of a document its first `max_tokens` are read.
    Source: Wenzek et al. (2020), CCNet.
    """

    name: ClassVar[str] = "perplexity"
    model: str
    """A folder, hub id or published name of a decoder."""
    max_bits_per_byte: NonNegative | None = None
    """Above it a document is taken for noise."""
    min_bits_per_byte: NonNegative | None = None
    """Below it a document is taken for repetition, or for text the model was trained on."""
    max_tokens: Annotated[int, Bounds(least=2)] = 512
    """Of a document."""
    fingerprint: str = ""
    """Of the model, found by the build."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.max_bits_per_byte is None and self.min_bits_per_byte is None:
            raise SettingError("stage perplexity has no limit; write 'max_bits_per_byte: 2.5', or a minimum")
        low, high = self.min_bits_per_byte or 0.0, self.max_bits_per_byte
        if high is not None and high <= low:
            raise SettingError(
                f"stage perplexity keeps documents from {low:g} to {high} bits a byte, which are none; give a maximum "
                "above the minimum"
            )

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """Documents within the limits, and those of fewer than two tokens, which cannot be scored."""
        from tokenworth.corpus.model_features import bits_per_byte

        kept = []
        bits_of = bits_per_byte([document.text for document in documents], self.model, max_tokens=self.max_tokens)
        for document, bits in zip(documents, bits_of.tolist(), strict=True):
            ledger.count("bits per byte", _bin(bits))
            if reason := self._refusal(bits):
                ledger.drop(document, reason)
            else:
                kept.append(document)
        return kept

    def _refusal(self, bits: float) -> str | None:
        if self.max_bits_per_byte is not None and bits > self.max_bits_per_byte:
            return "max_bits_per_byte"
        if self.min_bits_per_byte is not None and bits < self.min_bits_per_byte:
            return "min_bits_per_byte"
        return None


def _bin(bits: float) -> str:
    """Quarters of a bit, by their lower edge."""
    return "too short" if math.isnan(bits) else f"{math.floor(bits / _BIN) * _BIN:.2f}"
