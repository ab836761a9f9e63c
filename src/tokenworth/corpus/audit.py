"""What is in documents as they are: counts, personal data, duplicates, texts of tasks.  Nothing is changed or kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenworth.base.aliases import Progress
from tokenworth.corpus.corpus_file import load_corpus
from tokenworth.corpus.corpus_options import AuditCall
from tokenworth.corpus.corpus_settings import Corpus, Source
from tokenworth.corpus.deduplication.cluster_sizes import cluster_sizes
from tokenworth.corpus.deduplication.duplicate_stages import Exact, Near
from tokenworth.corpus.document import Amount, Ledger
from tokenworth.corpus.engine.engines import Engine, Local
from tokenworth.corpus.engine.flow import Flow
from tokenworth.corpus.engine.jobs import ObserveJob, observe
from tokenworth.corpus.engine.pipeline import read_sources
from tokenworth.corpus.engine.shard_store import Shard
from tokenworth.corpus.engine.stage import CorpusStage, Preparation, ShardStage
from tokenworth.corpus.filters.decontamination import Decontaminate
from tokenworth.corpus.filters.document_stages import Extract, Normalise, Quality, Redact
from tokenworth.corpus.output.build_report import contamination_rows
from tokenworth.corpus.output.loss_notes import language_notes
from tokenworth.corpus.readers.sources import parts_of
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.settings import exists
from tokenworth.settings.signatures import keywords_of


@dataclass(frozen=True, slots=True)
class _Job:
    shard: Shard
    stages: tuple[ShardStage, ...]


@keywords_of(AuditCall)
def audited(given: AuditCall) -> Corpus:
    """A corpus file, or a file or folder of documents, as a corpus to audit.

    Of a corpus file the settings of its stages are those that look; without one, and for stages it does not have, the
    defaults are.

    Raises:
        SettingError: mistakes in the corpus file, or nothing at the path.
    """
    path, text = given.path, given.text
    place = Path(path)
    if place.suffix in (".yaml", ".yml"):
        corpus = load_corpus(place)
    elif exists(place) or "*" in str(path):
        corpus = Corpus(name=place.stem, sources=(Source(name=place.stem, path=str(place.resolve())),), stages=())
    else:
        raise SettingError(f"there is no {path} to audit; give a corpus file, or a file or folder of documents")
    own = {stage.name: stage for stage in corpus.stages}
    wanted = (*(own["decontaminate"].tasks if "decontaminate" in own else ()), *given.tasks)
    sources = tuple(replace(one, text=tuple(text)) for one in corpus.sources) if text else corpus.sources
    always = [own.get(stage.name, stage) for stage in (Redact(), Near())]
    asked = [own[name] for name in ("perplexity", "semantic") if name in own]
    looking = [Decontaminate(tasks=wanted, n=given.n, splits=())] if wanted else []
    return replace(corpus, sources=sources, stages=(*always, *asked, *looking))


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
        parts = [part for source in corpus.sources for part in parts_of(corpus, source)]
        flow = Flow(corpus, Path(folder), parts, engine or Local(), progress or (lambda *_: None))
        read_sources(flow)
        shards = [shard for i in flow.members() for shard in flow.shards_of(i)]
        return _findings(flow, shards)


def _findings(flow: Flow, shards: list[Shard]) -> dict[str, Any]:
    ready = [stage.prepare(Preparation(flow.root, flow.notes)) for stage in flow.corpus.stages]
    stages = (Extract(), Normalise(), Quality(), *(stage for stage in ready if isinstance(stage, ShardStage)))
    found = flow.run("count", _count, [_Job(shard, stages) for shard in shards])
    by_stage = {stage.name: _added([one[stage.name] for one in found]) for stage in stages}
    predicted = by_stage.get("perplexity", Ledger())
    twice = (Exact(), *(stage for stage in ready if isinstance(stage, CorpusStage)))
    reading = _added([shard.ledger() for shard in shards])
    if reading.given.documents == 0:
        raise TokenworthError(f"{flow.corpus.name} holds no document to audit; {'; '.join(reading.notes[:3])}")
    return {
        "name": flow.corpus.name,
        "sources": _by_source(flow),
        "refused": _numbers(reading.dropped),
        "languages": by_stage["normalise"].facts.get("languages", {}),
        "to_normalise": _numbers(by_stage["normalise"].changed),
        "personal": by_stage["redact"].facts.get("personal", {}),
        "quality": _numbers(by_stage["quality"].dropped),
        "perplexity": _numbers(predicted.dropped),
        "bits_per_byte": predicted.facts.get("bits per byte", {}),
        "duplicates": {stage.name: _clusters(flow, stage, shards) for stage in twice},
        "contamination": contamination_rows(list(by_stage.values())),
        "notes": [*flow.notes, *language_notes([("quality", {"": by_stage["quality"]})]), *reading.notes],
    }


def _count(job: _Job) -> dict[str, Ledger]:
    """Every stage on the documents as they are (text of HTML and LaTeX taken first); what comes out is let go."""
    documents = job.shard.read()
    found = {}
    for stage in job.stages:
        ledger = Ledger()
        after = stage(documents, ledger)
        documents = after if stage.name == "extract" else documents
        found[stage.name] = ledger
    return found


def _added(found: list[Ledger]) -> Ledger:
    total = Ledger()
    for one in found:
        total.add(one)
    return total


def _numbers(reasons: dict[str, Amount]) -> dict[str, int]:
    return {reason: amount.documents for reason, amount in reasons.items()}


def _by_source(flow: Flow) -> dict[str, dict[str, int]]:
    found = {}
    for source in flow.corpus.sources:
        own = [i for i, part in enumerate(flow.parts) if part.source == source]
        amount = sum((shard.ledger().given for i in own for shard in flow.shards_of(i)), Amount())
        found[source.name] = {"documents": amount.documents, "bytes": amount.bytes}
    return found


def _clusters(flow: Flow, stage: CorpusStage, shards: list[Shard]) -> dict[str, Any]:
    seen = flow.root / f"seen-{stage.name}"
    jobs = [ObserveJob(shard, stage, seen / f"{number:06d}") for number, shard in enumerate(shards)]
    flow.run(f"{stage.name}: look", observe, jobs)
    return cluster_sizes(stage.decide([job.path for job in jobs]))
