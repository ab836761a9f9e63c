"""What is in documents as they are: counts, personal data, duplicates, texts of tasks.  Nothing is changed or kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenworth.base.aliases import Progress
from tokenworth.base.keywords import known_keywords
from tokenworth.corpus.corpus_file import load_corpus
from tokenworth.corpus.corpus_settings import AuditCall, Corpus, Source
from tokenworth.corpus.deduplication.duplicate_stages import Exact, Near
from tokenworth.corpus.deduplication.near_duplicates import ClusterSizes, cluster_sizes
from tokenworth.corpus.document import Amount, Ledger
from tokenworth.corpus.engine.engines import Engine, Local
from tokenworth.corpus.engine.pipeline import Flow, observe_shards, read_sources
from tokenworth.corpus.engine.shard_store import Shard
from tokenworth.corpus.engine.stage import CorpusStage, Preparation, ShardStage
from tokenworth.corpus.filters.decontamination import Decontaminate
from tokenworth.corpus.filters.document_stages import Extract, Normalise, Quality, Redact
from tokenworth.corpus.output.build_report import contamination_rows
from tokenworth.corpus.output.loss_notes import language_notes
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.settings import exists
from tokenworth.settings.signatures import keywords_of


@keywords_of(AuditCall)
def audited(call: AuditCall) -> Corpus:
    """A corpus file, or a file or folder of documents, as a corpus to audit.

    Of a corpus file the settings of its stages are those that look; without one, and for stages it does not have, the
    defaults are.

    Raises:
        SettingError: mistakes in the corpus file, or nothing at the path.
    """
    place = Path(call.path)
    if place.suffix in (".yaml", ".yml"):
        corpus = load_corpus(place)
    elif exists(place) or "*" in str(call.path):
        corpus = Corpus(name=place.stem, sources=(Source(name=place.stem, path=str(place.resolve())),), stages=())
    else:
        raise SettingError(f"there is no {call.path} to audit; give a corpus file, or a file or folder of documents")
    stated = {stage.name: stage for stage in corpus.stages}
    wanted = (*(stated["decontaminate"].tasks if "decontaminate" in stated else ()), *call.tasks)
    sources = corpus.sources
    if call.text:
        sources = tuple(replace(source, text=tuple(call.text)) for source in sources)
    always = [stated.get(stage.name, stage) for stage in (Redact(), Near())]
    asked = [stated[name] for name in ("perplexity", "semantic") if name in stated]
    looking = [Decontaminate(tasks=wanted, n=call.n, splits=())] if wanted else []
    return replace(corpus, sources=sources, stages=(*always, *asked, *looking))


@known_keywords
def audit(corpus: Corpus, *, engine: Engine | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """What is in the documents of a corpus.

    Args:
        corpus: what `audited` gave.
        engine: where jobs run; None takes this process.
        progress: called as progress(what, done, of how many).

    Returns:
        documents and bytes by source, `refused` when read, `languages`, `personal` data by type, what `quality` rules
        would refuse, `perplexity` (what its limits would refuse, where a corpus file has them) and `bits_per_byte`,
        `duplicates` (clusters by stage), `contamination` by task and split, and `notes`.

    Raises:
        SettingError: a source has no file.
        TaskError: a task cannot be loaded.
        BackboneError: a model cannot be loaded.
        TokenworthError: no room for temporary files, or no document.
    """
    with TemporaryDirectory(prefix="tokenworth-audit-") as folder:
        flow = Flow.of(corpus, Path(folder), engine or Local(), progress)
        read_sources(flow)
        return _facts(flow)


def _facts(flow: Flow) -> dict[str, Any]:
    shards = flow.shards()
    ready = [stage.prepare(Preparation(flow.root, flow.notes)) for stage in flow.corpus.stages]
    stages = (Extract(), Normalise(), Quality(), *(stage for stage in ready if isinstance(stage, ShardStage)))
    counts = flow.run("count", _count, [(shard, stages) for shard in shards])
    by_stage = {stage.name: Ledger.total(ledgers[stage.name] for ledgers in counts) for stage in stages}
    predicted = by_stage.get("perplexity", Ledger())
    duplicate_stages = (Exact(), *(stage for stage in ready if isinstance(stage, CorpusStage)))
    reading = Ledger.total(shard.ledger() for shard in shards)
    if reading.given.documents == 0:
        raise TokenworthError(f"{flow.corpus.name} holds no document to audit; {'; '.join(reading.notes[:3])}")
    return {
        "name": flow.corpus.name,
        "sources": {source.name: _amount(flow, source) for source in flow.corpus.sources},
        "refused": _numbers(reading.dropped),
        "languages": by_stage["normalise"].facts.get("languages", {}),
        "to_normalise": _numbers(by_stage["normalise"].changed),
        "personal": by_stage["redact"].facts.get("personal", {}),
        "quality": _numbers(by_stage["quality"].dropped),
        "perplexity": _numbers(predicted.dropped),
        "bits_per_byte": predicted.facts.get("bits per byte", {}),
        "duplicates": {stage.name: _clusters(flow, stage, shards) for stage in duplicate_stages},
        "contamination": contamination_rows(Ledger.total(by_stage.values())),
        "notes": [*flow.notes, *language_notes(by_stage["quality"]), *reading.notes],
    }


def _count(shard: Shard, stages: Sequence[ShardStage]) -> dict[str, Ledger]:
    """Every stage on the documents as they are (text of HTML and LaTeX taken first); what comes out is let go."""
    documents = shard.read()
    ledgers = {}
    for stage in stages:
        ledgers[stage.name] = Ledger()
        after = stage(documents, ledgers[stage.name])
        documents = after if stage.name == "extract" else documents
    return ledgers


def _numbers(reasons: dict[str, Amount]) -> dict[str, int]:
    return {reason: amount.documents for reason, amount in reasons.items()}


def _amount(flow: Flow, source: Source) -> dict[str, int]:
    shards = [shard for part in flow.parts if part.source == source.name for shard in part.shards()]
    amount = sum((shard.ledger().given for shard in shards), Amount())
    return {"documents": amount.documents, "bytes": amount.bytes}


def _clusters(flow: Flow, stage: CorpusStage, shards: list[Shard]) -> ClusterSizes:
    return cluster_sizes(stage.decide(observe_shards(flow, stage, shards)))
