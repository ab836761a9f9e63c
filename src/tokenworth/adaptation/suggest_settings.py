"""Settings of suggest."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from tokenworth.assessment.assessment_settings import ProgressCall
from tokenworth.settings import AsPath, Count, Positive, Seed, Settings

Method = Literal["auto", "spread", "margin", "entropy", "coverage", "badge", "random"]


@dataclass(frozen=True, kw_only=True)
class SuggestCall(Settings):
    """What `suggest` takes."""

    run: Annotated[str | Path, AsPath()] = field(kw_only=False)
    """Folder that adapt wrote."""
    pool: Annotated[str | Path, AsPath()] = field(kw_only=False)
    """A .csv, .tsv, .jsonl or .parquet file of texts without labels."""
    n: Count = 100
    """Texts to choose."""
    by: Method = "auto"
    """spread (unsure texts that are unlike each other), margin or entropy (unsure texts), coverage (texts unlike all
    that are labelled), badge (texts that would move the read-out, unlike each other) or random; spread, coverage and
    badge need a probe; auto: spread for a probe, else margin."""
    text: str | None = None
    """Column of the pool that holds the text; by default found by name."""
    text_pair: str | None = None
    """Column of a pair's second text, joined to the first by one space; by default found by name."""
    model: str | None = None
    """Where the backbone lies now; by default where it lay when the run was saved."""
    device: str = "auto"
    """auto (cuda, then mps, then cpu), cpu, cuda or mps."""
    allow_pickle: bool = False
    """Also load a backbone whose weights are not safetensors."""
    budget: Positive | None = None
    """Most money that the answers of a model on a server may cost."""
    key_variable: str | None = None
    """Environment variable that holds the server's key; by default TOKENWORTH_API_KEY."""
    cache: str | Path | bool = True
    """Folder where the features of the pool are kept; by default TOKENWORTH_CACHE or ~/.cache."""
    seed: Seed = 0
    """Of draws, and of the order of equals."""
    progress: ProgressCall = None
    """Called as progress(what, done, total)."""
