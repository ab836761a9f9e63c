"""tokenworth measure: what a pretrained decoder does beside its loss."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import tokenworth.cli.context_commands as lengths
import tokenworth.cli.measure_options as measured
import tokenworth.cli.shared_options as options

app = typer.Typer(
    help="Exposure, memory, test texts seen, routing, positions and retrieval of a decoder.", no_args_is_help=True
)


@app.command()
@options.reads_pickles
def exposure(
    model: measured.Model,
    files: measured.Files,
    prefixes: measured.Prefixes = "16,64,128",
    continuation: Annotated[int, typer.Option(min=1, help="Tokens behind a prefix.")] = 32,
    start: Annotated[int, typer.Option(min=1, help="Real tokens that samples begin with.")] = 1,
    reference: Annotated[str | None, typer.Option(help="Another model of the same tokens, as a judge.")] = None,
    texts: measured.Most = 200,
    whole: measured.Whole = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: measured.Dtype = "float32",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """What a model's own text costs it, against another real text, by place behind the prefix."""
    from tokenworth.measures import documents_of, load_decoder, measure_exposure

    decoder = measured.load(model, device, dtype, seed, quiet)
    judge = None if reference is None else load_decoder(reference, device=device, dtype=dtype, seed=seed)
    found = measure_exposure(
        decoder, documents_of(files, whole=whole), prefixes=measured.counts(prefixes), continuation=continuation,
        start=start, most=texts, seed=seed, reference=judge,
    )  # fmt: skip
    if measured.given("exposure", found.asdict(), out, json=json, quiet=quiet):
        return
    typer.echo(f"{found.model}: nats a token on {found.texts} documents, 95 % intervals over documents")
    places = [
        {"prefix": row["prefix"], "place": measured.places(row), "own document": measured.nats(row, "gold"),
         "sampled": measured.nats(row, "own"), "another's": measured.nats(row, "other"),
         "exposure": measured.ends(row, "exposure"), "mismatch": measured.ends(row, "mismatch")}
        for row in found.continuation
    ]  # fmt: skip
    measured.show(places, left=("exposure", "mismatch"))
    typer.echo("\nsampled text by position: above 0 more random than real text, below 0 more repetitive")
    judged = {} if judge is None else {"judge: documents": "reference_gold", "judge: samples": "reference_sampled"}
    drift = [
        {"position": measured.places(row), "documents": measured.nats(row, "gold"),
         "samples": measured.nats(row, "sampled"), "drift": measured.ends(row, "drift")}
        | {name: measured.nats(row, key) for name, key in judged.items()}
        for row in found.drift
    ]  # fmt: skip
    measured.show(drift, left=("drift",))


@app.command()
@options.reads_pickles
def memorisation(
    model: measured.Model,
    files: measured.Files,
    held_out: Annotated[list[Path] | None, typer.Option(help="Texts it was not trained on, as a control.")] = None,
    prefixes: measured.Prefixes = "8,32,64",
    span: Annotated[int, typer.Option(min=1, help="Tokens to be recited.")] = 32,
    spans: Annotated[int, typer.Option(min=1, help="Spans of each group.")] = 200,
    whole: measured.Whole = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: measured.Dtype = "float32",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Which spans of its training FILEs a model recites, by prefix length and by how often they stand there."""
    from tokenworth.measures import documents_of, measure_memorisation

    decoder = measured.load(model, device, dtype, seed, quiet)
    unseen = documents_of(held_out, whole=whole) if held_out else ()
    found = measure_memorisation(
        decoder, documents_of(files, whole=whole), unseen, prefixes=measured.counts(prefixes), span=span, most=spans,
        seed=seed,
    )  # fmt: skip
    if measured.given("memorisation", found.asdict(), out, json=json, quiet=quiet):
        return
    typer.echo(f"{found.model}: spans of {found.span} tokens out of {found.tokens:,}; 95 % intervals")
    rows = [
        {"prefix": row["prefix"], "times in corpus": measured.times(row), "spans": row["spans"],
         "exact": measured.share(row, "exact"), "within a tenth": measured.share(row, "approximate")}
        for row in found.rates
    ]  # fmt: skip
    measured.show(rows)
    for one in found.examples:
        typer.echo(
            f"recited after {one['prefix']} tokens, stands {one['times']} times: {measured.shortened(one['text'])}"
        )


@app.command()
@options.reads_pickles
def completion(
    model: measured.Model,
    task: options.TaskArgument,
    control: Annotated[
        list[str] | None,
        typer.Option(help="train, shuffled, or files of texts it cannot have seen.", show_default="train"),
    ] = None,
    length: Annotated[int, typer.Option(min=8, help="Tokens of a text that are looked at.")] = 128,
    texts: measured.Most = 200,
    text: options.Text = None,
    label: options.Label = None,
    test: options.Test = None,
    data: options.Data = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: measured.Dtype = "float32",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Whether a model seems to have read a task's test texts: does it complete them, and are they too familiar?"""
    from tokenworth.measures import documents_of, measure_completion, shuffled
    from tokenworth.tasks import load_task

    decoder = measured.load(model, device, dtype, seed, quiet)
    loaded = load_task(task, text=text, label=label, test=test, data=data, seed=seed)
    name = ", ".join(control or ["train"])
    own = {"train": lambda: loaded.train.texts, "shuffled": lambda: shuffled(loaded.test.texts, seed)}
    others = own[name]() if name in own else documents_of(control or ())
    found = measure_completion(
        decoder,
        loaded.test.texts,
        others,
        control_name=name,
        length=min(length, decoder.context),
        most=texts,
        seed=seed,
    )
    if measured.given("completion", found.asdict(), out, json=json, quiet=quiet):
        return
    rows = [
        {"texts": row["texts"], "of": row["of"] if row["of"] == "test" else f"control: {name}",
         "completed": measured.share(row, "exact"), "within a tenth": measured.share(row, "approximate"),
         "least likely fifth, nats": measured.ends(row, "minimum"), "bits over zlib's": measured.ends(row, "zlib", "")}
        for row in found.rows
    ]  # fmt: skip
    measured.show(rows, left=("of",))
    typer.echo("\n".join(found.sentences()))
    for one in found.examples:
        typer.echo(f"given {measured.shortened(one['given'])} completed {measured.shortened(one['completed'])}")


@app.command()
@options.reads_pickles
def router(
    model: measured.Model,
    files: measured.Files,
    length: Annotated[int, typer.Option(min=1, help="Tokens of a text; longer ones are cut.")] = 128,
    texts: measured.Most = 200,
    whole: measured.Whole = False,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: measured.Dtype = "float32",
    out: options.Out = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Load of every expert of a mixture, layer by layer."""
    from tokenworth.measures import documents_of, router_load, rows_of

    decoder = measured.load(model, device, dtype, seed, quiet)
    decoder.check_length(length)
    found = router_load(decoder, rows_of(decoder, documents_of(files, whole=whole), length, most=texts, seed=seed))
    if measured.given("router", found.asdict(), out, json=json, quiet=quiet):
        return
    typer.echo(f"{model}: {found.tokens:,} tokens, {found.experts_per_token} experts each")
    rows = [
        {"layer": row["layer"], "cv": f"{row['cv']:.3f}", "entropy": f"{row['entropy']:.3f}",
         "dead": f"{row['dead']:.0%}", "balance": f"{row['balance']:.3f}",
         "load of each expert, %": " ".join(f"{100 * load:.0f}" for load in row["load"])}
        for row in found.layers()
    ]  # fmt: skip
    measured.show(rows, left=("load of each expert, %",))


app.command("positions")(lengths.positions)
app.command("retrieval")(lengths.retrieval)
