"""A corpus that is built and, where its file asks for it, packed into token shards."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from tokenworth.base.aliases import Progress
from tokenworth.corpus.build import build
from tokenworth.corpus.corpus_settings import Corpus
from tokenworth.corpus.engine.engines import Engine
from tokenworth.corpus.engine.shard_store import write_json
from tokenworth.corpus.output.build_report import CorpusReport, describe


def build_corpus(corpus: Corpus, place: Path, engine: Engine, progress: Progress | None) -> CorpusReport:
    """What OUT/report.json says of the build; a tokenizer that could not be made is refused before it begins."""
    if corpus.pack is None:
        report = describe(build(corpus, place, engine=engine, progress=progress), place, tokens={})
    else:
        from tokenworth.pretraining.data.corpus_packing import check_tokenizer, pack_corpus

        check_tokenizer(corpus.pack.tokenizer)
        flow = build(corpus, place, engine=engine, progress=progress)
        packed = {name: asdict(shards) for name, shards in pack_corpus(place).items()}
        report = describe(flow, place, tokens=packed)
    write_json(place / "report.json", report)
    return report
