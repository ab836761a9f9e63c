"""The stages of a corpus by name."""

from __future__ import annotations

from tokenworth.corpus.deduplication.duplicate_stages import Exact, Near, Semantic
from tokenworth.corpus.engine.stage import Stage
from tokenworth.corpus.filters.decontamination import Decontaminate
from tokenworth.corpus.filters.document_stages import Extract, Normalise, Quality, Redact
from tokenworth.corpus.filters.perplexity_filter import Perplexity

STAGES: dict[str, type[Stage]] = {
    stage.name: stage
    for stage in (Extract, Normalise, Quality, Redact, Exact, Near, Semantic, Perplexity, Decontaminate)
}
"""By name, in the order in which they stand where a file does not say."""
ON_REQUEST = tuple(stage.name for stage in (Semantic, Perplexity, Decontaminate))
"""Those that need settings: a file without `stages` has the others."""
