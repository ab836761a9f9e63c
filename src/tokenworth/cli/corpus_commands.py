"""tokenworth corpus: make one of raw documents, or look at what is in them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from tokenworth.backbones.model_choice import WeightChoice
from tokenworth.cli.console import print_lines, say
from tokenworth.cli.options import Given, Output, said, takes
from tokenworth.corpus.corpus_settings import AuditCall, EngineChoice
from tokenworth.report.terminal.progress import progress_report


@takes(EngineChoice, WeightChoice, Output)
def build(file: Annotated[Path, said("CORPUS.yaml: sources, stages, mix.")], /, *, options: Given) -> None:
    from tokenworth.corpus.corpus_file import load_corpus
    from tokenworth.corpus.engine.engines import chosen_engine
    from tokenworth.pretraining.data.packed_build import build_corpus
    from tokenworth.report.report_page import write_corpus_page
    from tokenworth.report.terminal.corpus_lines import build_lines

    corpus = load_corpus(file)
    place = options.out or Path("out") / "corpus" / corpus.name
    choice = EngineChoice(**options.of(EngineChoice))
    with chosen_engine(choice) as engine, progress_report(quiet=options.quiet) as progress:
        report = build_corpus(corpus, place, engine, progress)
    page = write_corpus_page(report, place / "report.html")
    _print(report, f"report: {page}", build_lines(report, place), options)


@takes(AuditCall, EngineChoice, WeightChoice, Output)
def audit(path: str, /, *, options: Given) -> None:
    from tokenworth.corpus.audit import audit as run
    from tokenworth.corpus.audit import audited
    from tokenworth.corpus.engine.engines import chosen_engine
    from tokenworth.corpus.engine.shard_store import write_json
    from tokenworth.report.terminal.corpus_lines import audit_lines

    corpus, choice = audited(path, **options.of(AuditCall)), EngineChoice(**options.of(EngineChoice))
    with chosen_engine(choice) as engine, progress_report(quiet=options.quiet) as progress:
        facts = run(corpus, engine=engine, progress=progress)
    if options.out is not None:
        write_json(options.out / "audit.json", facts)
    _print(facts, None if options.out is None else f"audit: {options.out / 'audit.json'}", audit_lines(facts), options)


def _print(facts: Any, where: str | None, lines: Iterable[str], options: Given) -> None:
    for sentence in [*(f"! {note}" for note in facts["notes"]), *([where] if where else [])]:
        say(sentence)
    print_lines(facts, lines, json=options.json)
