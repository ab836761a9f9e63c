"""What learns under the route lora: low-rank updates, or one of the tunings beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_args

from tokenworth.endpoints.endpoint_settings import EndpointSettings
from tokenworth.errors import SettingError
from tokenworth.settings import ByComma, Count, quoted

Tuning = Literal["lora", "ia3", "soft_prompt", "prefix", "p_tuning", "loreft", "last_blocks", "bias"]
TUNINGS: tuple[Tuning, ...] = get_args(Tuning)
BESIDE_WEIGHTS = ("soft_prompt", "prefix", "p_tuning", "loreft")
"""Tunings that leave every weight as it was and act on texts or states: there is no network of the same shape after."""
OWN_WEIGHTS = ("last_blocks", "bias")
"""Tunings under which weights of the backbone itself learn."""
_POSITIONS = re.compile(r"(?:f(\d+))?\+?(?:l(\d+))?")


@dataclass(frozen=True, kw_only=True, slots=True)
class TuningSettings(EndpointSettings):
    """Which tuning the route lora makes, and its size; LoRA's own settings stand beside them."""

    tuning: Tuning = "lora"
    """What learns under the route lora: lora (low-rank updates), ia3 (factors of keys, values and hidden units),
    soft_prompt, p_tuning (embeddings before the text), prefix (keys and values before it), loreft (states of few
    tokens), last_blocks, bias (weights of the model)."""
    virtual_tokens: Count = 20
    """What soft_prompt, prefix and p_tuning learn: tokens before every text."""
    blocks: Count = 2
    """Under last_blocks: how many of them learn, with what comes after them."""
    reft_rank: Count = 4
    """Dimensions of a state that loreft changes, in each of its layers."""
    reft_layers: Annotated[tuple[int, ...], ByComma()] = ()
    """Layers whose states loreft changes: 1 is what the first block puts out; by default all."""
    reft_positions: str = "f5+l5"
    """Tokens that loreft changes: f5+l5 are the first and the last five of a text, as pyreft writes it."""
    reduce_intruders: bool = False
    """After training, let peft reduce LoRA's intruder dimensions; the result has F1 and text loss before and after."""

    @property
    def reft_ends(self) -> tuple[int, int]:
        """How many tokens from the beginning and from the end of a text loreft changes."""
        found = _POSITIONS.fullmatch(self.reft_positions)
        first, last = (int(number or 0) for number in found.groups()) if found else (0, 0)
        return first, last

    def check_tuning(self, *, quantise: bool, diagnose: bool) -> None:
        """Raises SettingError: settings that do not go together."""
        if not any(self.reft_ends):
            raise SettingError(
                f"reft_positions {quoted(self.reft_positions)} name no tokens; write f5+l5, f1 or l3: how many from "
                "the first and from the last on"
            )
        if self.reduce_intruders and (self.tuning != "lora" or quantise):
            raise SettingError(
                "reduce_intruders changes updates that LoRA has learnt of plain weights; leave it out, or choose "
                "tuning lora without quantise"
            )
        if quantise and self.tuning in OWN_WEIGHTS:
            raise SettingError(
                f"quantise packs weights that do not learn, and under tuning {self.tuning} they do; leave one out"
            )
        if diagnose and self.tuning in BESIDE_WEIGHTS:
            raise SettingError(
                f"diagnose compares weights before and after, and tuning {self.tuning} leaves them as they were; leave "
                "one out"
            )


TUNING_DEFAULTS: dict[str, Any] = {
    field.name: field.default for field in fields(TuningSettings) if field.name not in EndpointSettings.__slots__
}
"""Of the settings above, by name."""
