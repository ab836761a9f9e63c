"""tokenworth corpus: make one of raw documents, or look at what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tokenworth.backbones.model_choice import WeightChoice
from tokenworth.cli.console import print_json, progress_report, say, tell
from tokenworth.cli.options import Given, Output, said, takes
from tokenworth.corpus.corpus_options import AuditCall, EngineChoice
from tokenworth.errors import SettingError
from tokenworth.settings import OutFolder

if TYPE_CHECKING:
    from tokenworth.corpus.corpus_settings import Corpus
    from tokenworth.corpus.engine.engines import Engine


@takes(EngineChoice, WeightChoice, Output)
def build(
    file: Annotated[Path, said("CORPUS.yaml: sources, stages, mix.")],
    /,
    *,
    out: Annotated[Path | None, said("Folder; by default out/corpus/NAME.", OutFolder)] = None,
    given: Given,
) -> None:
    from tokenworth.corpus.build import build as run
    from tokenworth.corpus.corpus_file import load_corpus
    from tokenworth.corpus.engine.shard_store import write_json
    from tokenworth.corpus.output.build_report import describe
    from tokenworth.report.report_page import write_corpus_page
    from tokenworth.report.terminal.corpus_lines import build_lines

    corpus = load_corpus(file)
    _check_tokenizer(corpus)
    place = out or Path("out") / "corpus" / corpus.name
    with _engine(**given.of(EngineChoice)) as engine, progress_report(quiet=given.quiet) as progress:
        flow = run(corpus, place, engine=engine, progress=progress)
    report = describe(flow, place, tokens=_packed(corpus, place))
    write_json(place / "report.json", report)
    page = write_corpus_page(report, place / "report.html")
    _say_and_print(report, f"report: {page}", build_lines(report, place), given)


@takes(AuditCall, EngineChoice, WeightChoice, Output)
def audit(
    path: str,
    /,
    *,
    out: Annotated[Path | None, said("Folder for audit.json; by default none is written.", OutFolder)] = None,
    given: Given,
) -> None:
    from tokenworth.corpus.audit import audit as run
    from tokenworth.corpus.audit import audited
    from tokenworth.corpus.engine.shard_store import write_json
    from tokenworth.report.terminal.corpus_lines import audit_lines

    corpus = audited(path, **given.of(AuditCall))
    with _engine(**given.of(EngineChoice)) as engine, progress_report(quiet=given.quiet) as progress:
        found = run(corpus, engine=engine, progress=progress)
    if out is not None:
        write_json(out / "audit.json", found)
    _say_and_print(found, None if out is None else f"audit: {out / 'audit.json'}", audit_lines(found), given)


def _say_and_print(facts: dict[str, Any], where: str | None, lines: Iterator[str], given: Given) -> None:
    for sentence in [where] if where else []:
        say(sentence)
    for note in facts["notes"]:
        say(f"! {note}")
    if given.json:
        print_json(facts)
    else:
        tell("\n".join(lines))


def _check_tokenizer(corpus: Corpus) -> None:
    """Before hours are spent on the documents; pretraining is loaded where it is asked for."""
    if corpus.pack is not None:
        from tokenworth.pretraining.data.corpus_packing import check_tokenizer

        check_tokenizer(corpus.pack.tokenizer)


def _packed(corpus: Corpus, place: Path) -> dict[str, dict[str, Any]]:
    if corpus.pack is None:
        return {}
    from tokenworth.pretraining.data.corpus_packing import pack_corpus

    return {name: asdict(shards) for name, shards in pack_corpus(place).items()}


@contextmanager
def _engine(engine: str = "local", workers: int = 1, address: str | None = None) -> Iterator[Engine]:
    from tokenworth.corpus.engine.engines import ENGINES, Local, OnRay

    if engine not in ENGINES:
        raise SettingError(f"engine {engine!r} is not understood; choose from {', '.join(ENGINES)}")
    chosen: Engine = Local(workers) if engine == "local" else OnRay(workers, address)
    try:
        yield chosen
    except BaseException:
        chosen.close(now=True)
        raise
    chosen.close()
