"""Which checkpoints a trace goes along where they are not those of a run of ours, and the tokens each has seen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from tokenworth.errors import SettingError
from tokenworth.settings import AsName, ByComma, Count, Place, Settings, check_fields, quoted

Words = Annotated[tuple[str, ...], ByComma(), AsName()]


@dataclass(frozen=True, kw_only=True)
class CheckpointChoice(Settings):
    """How checkpoints are found, and how many tokens each has seen."""

    revisions: Words = ()
    """Revisions of a hub id that are its checkpoints, such as step1000,step2000."""
    tokens: Words = ()
    """Tokens each checkpoint has seen, in the order given, such as 1.0M,12.1M; or a .csv or .yaml file of checkpoint
    and tokens; by default read from the names (tokens-1000000, 4Btokens, step1000)."""
    tokens_per_step: Count | None = None
    """Tokens of a training step, where names say steps."""
    pattern: str | None = None
    """Regular expression with one group: the tokens in a checkpoint's name, or its steps with tokens_per_step."""
    random_start: bool = False
    """Where no checkpoint has seen 0 tokens, put the model with random weights there."""
    texts: Place | None = None
    """Held-out text whose bits a byte every checkpoint is measured on: a file or folder as pretraining reads them."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.tokens and (self.pattern or self.tokens_per_step):
            raise SettingError(
                "tokens are given as such, or read from the names; leave out pattern and tokens_per_step"
            )
        if self.pattern is not None and _groups(self.pattern) != 1:
            raise SettingError(
                f"the pattern {quoted(self.pattern)} is no regular expression with one group; write it as step(\\d+)"
            )


def _groups(pattern: str) -> int | None:
    """Groups of a regular expression; None where it is none."""
    try:
        return re.compile(pattern).groups
    except (re.error, RecursionError, OverflowError):
        return None
