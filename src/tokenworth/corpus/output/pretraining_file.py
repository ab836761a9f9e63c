"""What a finished corpus hands to pretraining: a run file with its sources as they were mixed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.engine.shard_store import whole

RUN_FILE, TOKENS = "pretrain.yaml", "tokens"
_HEAD = "# Made anew by every build; to change it, copy it.  tokenworth pretrain FILE trains on this corpus.\n"


def write_run_file(corpus: Corpus, shares: Mapping[str, float], out: Path) -> Path:
    """OUT/pretrain.yaml: one source a source, by its share of the bytes; in the annealing phase by its other weight.

    Pretraining draws sequences by these weights (each source's wanted share, in [0, 1]), so that they are shares of
    its tokens.  TokenworthError: no room.
    """
    import yaml

    path = out / RUN_FILE
    text = _HEAD + yaml.safe_dump(_run_settings(corpus, shares), sort_keys=False, allow_unicode=True)
    whole(path, lambda part: part.write_text(text, encoding="utf-8"))
    return path


def annealing_shares(corpus: Corpus, shares: Mapping[str, float]) -> dict[str, float]:
    """By source: share of the tokens of the annealing phase, which sources that are not there leave to the others."""
    weights = {source.name: source.annealing_weight or 0.0 for source in corpus.sources if shares[source.name] > 0}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()} if total else {}


def _run_settings(corpus: Corpus, shares: Mapping[str, float]) -> dict[str, Any]:
    """The settings of the run file; sources of which nothing was taken are left out."""
    annealing = annealing_shares(corpus, shares)
    sources: dict[str, Any] = {}
    training: dict[str, Any] = {"annealing_share": corpus.mix.annealing_share} if annealing else {}
    for name in (source.name for source in corpus.sources if shares[source.name] > 0):
        more = {"annealing_weight": round(annealing[name], 6)} if annealing else {}
        sources[name] = {"path": "text-*.parquet", "source": name, "weight": round(shares[name], 6), **more}
    settings = {"sources": sources, "training": training, "seed": corpus.seed}
    if corpus.pack is None:
        return settings
    training["held_out_share"] = corpus.pack.held_out_share
    return {**settings, "tokenizer": corpus.pack.tokenizer, "shards": TOKENS}
