"""tokenworth corpus: make one of raw documents, or look at what is in them."""

from __future__ import annotations

import json as encoder
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import tokenworth.cli.shared_options as options
from tokenworth.cli.console import progress_report, say, set_verbosity
from tokenworth.errors import SettingError

if TYPE_CHECKING:
    from tokenworth.corpus.corpus_settings import Corpus
    from tokenworth.corpus.engine.engines import Engine

app = typer.Typer(help="Raw documents to text to pretrain on.", no_args_is_help=True)

Workers = Annotated[int, typer.Option(min=1, help="Processes at a time.")]
EngineName = Annotated[str, typer.Option("--engine", help="local, or ray.")]
Address = Annotated[str | None, typer.Option(help="Of a running Ray cluster.", show_default="one is started here")]


@app.command()
@options.reads_pickles
def build(
    file: Annotated[Path, typer.Argument(metavar="CORPUS.yaml", help="Sources, stages, mix.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder.", show_default="out/corpus/NAME", parser=options.folder, metavar="PATH")
    ] = None,
    workers: Workers = 1,
    engine: EngineName = "local",
    address: Address = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Shuffled files of text with a report of where every document went; the same command goes on where it was.

    OUT/pretrain.yaml is what tokenworth pretrain trains on; with `pack` in the file its token shards are made, too.
    """
    from tokenworth.corpus.build import build as run
    from tokenworth.corpus.corpus_file import load_corpus
    from tokenworth.corpus.engine.shard_store import write_json
    from tokenworth.corpus.output.build_report import describe
    from tokenworth.report.report_page import write_corpus_page

    set_verbosity(verbose=verbose, quiet=quiet)
    corpus = load_corpus(file)
    _check_tokenizer(corpus)
    place = out or Path("out") / "corpus" / corpus.name
    with _engine(engine, workers, address) as where, progress_report(quiet=quiet) as progress:
        flow = run(corpus, place, engine=where, progress=progress)
    report = describe(flow, place, tokens=_packed(corpus, place))
    write_json(place / "report.json", report)
    page = write_corpus_page(report, place / "report.html")
    for note in report["notes"]:
        say(f"! {note}", quiet=quiet)
    say(f"report: {page}", quiet=quiet)
    if json:
        typer.echo(encoder.dumps(report, indent=1))
    else:
        _tell_build(report, place)


@app.command()
@options.reads_pickles
def audit(
    path: Annotated[str, typer.Argument(metavar="CORPUS", help="Corpus file, or a file or folder of documents.")],
    text: Annotated[list[str] | None, typer.Option(help="Column of the text; several times to join some.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Task whose texts to look for; several times.")] = None,
    n: Annotated[int, typer.Option(min=1, help="Words of a run that is looked for.")] = 13,
    out: options.Out = None,
    workers: Workers = 1,
    engine: EngineName = "local",
    address: Address = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
) -> None:
    """Counts, languages, personal data, duplicates and texts of tasks in documents; nothing is changed."""
    from tokenworth.corpus.audit import audit as run
    from tokenworth.corpus.audit import audited
    from tokenworth.corpus.engine.shard_store import write_json

    set_verbosity(verbose=verbose, quiet=quiet)
    corpus = audited(path, text=text or (), tasks=task or (), n=n)
    with _engine(engine, workers, address) as where, progress_report(quiet=quiet) as progress:
        found = run(corpus, engine=where, progress=progress)
    if out is not None:
        write_json(out / "audit.json", found)
        say(f"audit: {out / 'audit.json'}", quiet=quiet)
    for note in found["notes"]:
        say(f"! {note}", quiet=quiet)
    if json:
        typer.echo(encoder.dumps(found, indent=1))
    else:
        _tell_audit(found)


def _check_tokenizer(corpus: Corpus) -> None:
    """Before hours are spent on the documents; pretraining is loaded where it is asked for."""
    if corpus.pack is not None:
        from tokenworth.pretraining.data.corpus_packing import check_tokenizer

        check_tokenizer(corpus.pack.tokenizer)


def _packed(corpus: Corpus, place: Path) -> dict[str, dict[str, Any]]:
    if corpus.pack is None:
        return {}
    from tokenworth.pretraining.data.corpus_packing import pack_corpus

    return {name: asdict(one) for name, one in pack_corpus(place).items()}


@contextmanager
def _engine(name: str, workers: int, address: str | None) -> Iterator[Engine]:
    from tokenworth.corpus.engine.engines import ENGINES, Local, OnRay

    if name not in ENGINES:
        raise SettingError(f"engine {name!r} is not understood; choose from {', '.join(ENGINES)}")
    chosen: Engine = Local(workers) if name == "local" else OnRay(workers, address)
    try:
        yield chosen
    except BaseException:
        chosen.close(now=True)
        raise
    chosen.close()


def _tell_build(report: Mapping[str, Any], place: Path) -> None:
    output = report["output"]
    typer.echo(f"{output['documents']:,} documents, {output['bytes'] / 1e6:,.2f} MB, in {place}")
    left = sum(row["taken"]["documents"] for row in report["stages"] if row["stage"] == "read")
    for stage in dict.fromkeys(row["stage"] for row in report["stages"]):
        reasons = _together(row["dropped"] for row in report["stages"] if row["stage"] == stage)
        left -= sum(reasons.values())
        said = ", ".join(f"{number:,} {reason}" for reason, number in reasons.items())
        typer.echo(f"{stage:<14}{left:>12,} left{'; dropped: ' + said if said else ''}")
    for row in report["mix"]:
        shares = f"{row['got_share']:>8.2%} of the bytes, {row['wanted_share']:.2%} wanted"
        typer.echo(f"{row['source']:<24}{shares if row['available_bytes'] else '  nothing is left of it'}")
    for row in report["tokens"]:
        typer.echo(f"{row['source']:<24}{row['tokens']:>12,} tokens, {row['held_out_tokens']:,} of them held out")


def _together(found: Iterator[Mapping[str, Mapping[str, int]]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for reasons in found:
        for reason, amount in reasons.items():
            total[reason] = total.get(reason, 0) + amount["documents"]
    return dict(sorted(total.items(), key=lambda one: -one[1]))


def _tell_audit(found: Mapping[str, Any]) -> None:
    for source, amount in found["sources"].items():
        typer.echo(f"{source:<24}{amount['documents']:>12,} documents{amount['bytes'] / 1e6:>12,.2f} MB")
    counted = [("not read", "refused"), ("languages", "languages"), ("to normalise", "to_normalise"),
               ("personal data", "personal"), ("low quality", "quality")]  # fmt: skip
    predicted = [("perplexity", "perplexity"), ("bits a byte", "bits_per_byte")] if found["bits_per_byte"] else []
    for title, name in [*counted, *predicted]:
        counts = sorted(found[name].items(), key=lambda one: -one[1])[:12]
        typer.echo(f"{title:<24}{', '.join(f'{reason} {number:,}' for reason, number in counts) or 'none'}")
    for name, own in found["duplicates"].items():
        more = own["documents"] - own["clusters"]
        typer.echo(f"{name + ' duplicates':<24}{more:>12,} to drop, in {own['clusters']:,} clusters")
    for row in found["contamination"]:
        who = f"{row['task']} {row['split']}"
        typer.echo(f"{who:<24}{row['texts']:>12,} texts found in {row['documents']:,} documents")
