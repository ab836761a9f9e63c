"""tokenworth measure: what a pretrained decoder does beside its loss; and tokenworth extend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tokenworth.backbones.model_choice import WeightChoice
from tokenworth.cli.assess_commands import TASK
from tokenworth.cli.console import print_json, print_rows, say, tell
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.measures.measure_settings import (
    CompletionCall,
    DecoderChoice,
    ExposureCall,
    MemorisationCall,
    PositionsCall,
    RetrievalCall,
    RouterSettings,
)
from tokenworth.pretraining.mixture_settings import ExtendCall
from tokenworth.settings import OutFolder
from tokenworth.tasks.task_source import TaskSource

if TYPE_CHECKING:
    from tokenworth.measures import Decoder

_Model = Annotated[str, said("Folder or hub id; @random appended: random weights.")]
_Files = Annotated[list[Path], said(".txt, .txt.zst, .csv, .jsonl or .parquet.")]
_Whole = Annotated[bool, said("A .txt file is one document.")]
_Out = Annotated[Path | None, said("Folder for the result as JSON; by default none is written.", OutFolder)]
_COMMON = (DecoderChoice, WeightChoice, Options(Output, "json", "quiet"))


@takes(ExposureCall, *_COMMON)
def exposure(
    model: _Model,
    files: _Files,
    /,
    *,
    reference: Annotated[str | None, said("Another model of the same tokens, as a judge.")] = None,
    whole: _Whole = False,
    out: _Out = None,
    given: Given,
) -> None:
    from tokenworth.measures import documents_of, measure_exposure

    decoder = _load(model, given)
    judge = None if reference is None else _load(reference, given)
    documents = documents_of(files, whole=whole)
    _show("exposure", measure_exposure(decoder, documents, reference=judge, **given.of(ExposureCall)), out, given)


@takes(MemorisationCall, *_COMMON)
def memorisation(
    model: _Model,
    files: _Files,
    /,
    *,
    held_out: Annotated[list[Path] | None, said("Texts it was not trained on, as a control.")] = None,
    whole: _Whole = False,
    out: _Out = None,
    given: Given,
) -> None:
    from tokenworth.measures import documents_of, measure_memorisation

    decoder = _load(model, given)
    unseen = documents_of(held_out, whole=whole) if held_out else ()
    documents = documents_of(files, whole=whole)
    _show("memorisation", measure_memorisation(decoder, documents, unseen, **given.of(MemorisationCall)), out, given)


@takes(CompletionCall, Options(TaskSource, "text", "label", "test", "data", "seed"), *_COMMON)
def completion(
    model: _Model,
    task: Annotated[str, said(TASK.help_of("source"))],
    /,
    *,
    control: Annotated[
        list[str] | None, said("train, shuffled, or files of texts it cannot have seen; by default train.")
    ] = None,
    out: _Out = None,
    given: Given,
) -> None:
    from tokenworth.measures import documents_of, measure_completion, shuffled
    from tokenworth.tasks import load_task

    decoder = _load(model, given)
    loaded = load_task(task, **given.of(TaskSource))
    name, settings = ", ".join(control or ["train"]), given.of(CompletionCall)
    settings["length"] = min(settings.get("length", CompletionCall.length), decoder.context)
    if name == "train":
        others = loaded.train.texts
    else:
        texts = loaded.test.texts
        others = shuffled(texts, given.get("seed", 0)) if name == "shuffled" else documents_of(control or ())
    _show("completion", measure_completion(decoder, loaded.test.texts, others, control_name=name, **settings), out,
          given)  # fmt: skip


@takes(RouterSettings, *_COMMON)
def router(model: _Model, files: _Files, /, *, whole: _Whole = False, out: _Out = None, given: Given) -> None:
    from tokenworth.measures import documents_of, router_load, rows_of

    decoder, chosen = _load(model, given), RouterSettings(**given.of(RouterSettings))
    decoder.check_length(chosen.length)
    documents = documents_of(files, whole=whole)
    rows_NT = rows_of(decoder, documents, chosen.length, most=chosen.most, seed=chosen.seed)
    _show("router", router_load(decoder, rows_NT), out, given, model=model)


@takes(PositionsCall, *_COMMON)
def positions(model: _Model, files: _Files, /, *, whole: _Whole = False, out: _Out = None, given: Given) -> None:
    from tokenworth.measures import documents_of, measure_positions

    decoder = _load(model, given)
    result = measure_positions(decoder, documents_of(files, whole=whole), **given.of(PositionsCall))
    _show("positions", result, out, given)


@takes(RetrievalCall, *_COMMON)
def retrieval(model: _Model, files: _Files, /, *, whole: _Whole = False, out: _Out = None, given: Given) -> None:
    from tokenworth.measures import documents_of, measure_retrieval

    decoder = _load(model, given)
    result = measure_retrieval(decoder, documents_of(files, whole=whole), **given.of(RetrievalCall))
    _show("retrieval", result, out, given)


@takes(ExtendCall, WeightChoice, Options(Output, "json"))
def extend(
    model: _Model, /, *, out: Annotated[Path, said("Folder of the new checkpoint.", OutFolder)], given: Given
) -> None:
    from tokenworth.base.atomic_files import jsonable
    from tokenworth.measures import extend_checkpoint

    done = extend_checkpoint(model, out, **given.of(ExtendCall))
    if given.json:
        print_json(jsonable(done.asdict()))
        return
    tell(f"{out}: {done.context_before:,} -> {done.context:,} tokens by {done.method}, weights unchanged")
    tell(", ".join(f"{key} {value}" for key, value in done.rope_parameters.items()))


def _load(model: str, given: Given) -> Decoder:
    from tokenworth.measures import load_decoder

    return load_decoder(model, **given.of(DecoderChoice))


def _show(name: str, result: Any, out: Path | None, given: Given, **more: Any) -> None:
    """As JSON into a folder, as JSON to a program, as tables to a person."""
    from tokenworth.base.atomic_files import jsonable, write_text, writing
    from tokenworth.report.terminal.measure_tables import parts_of

    facts = jsonable(result.asdict())
    if out is not None:
        with writing(out) as place:
            write_text(place / f"{name}.json", json.dumps(facts, indent=1))
        say(f"{name}: {out / name}.json")
    if given.json:
        print_json(facts)
        return
    for part in parts_of(result, **more):
        if isinstance(part, str):
            tell(part)
        else:
            print_rows(part.rows, right=[head for head in part.rows[0] if head not in part.left])
