"""tokenworth measure: what a pretrained decoder does beside its loss; and tokenworth extend."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tokenworth.measures.measure_settings as asked
from tokenworth.backbones.model_choice import WeightChoice
from tokenworth.cli.console import print_json, print_lines, print_rows, tell, write_facts
from tokenworth.cli.options import Given, Options, Output, said, takes
from tokenworth.pretraining.mixture_settings import ExtendCall
from tokenworth.settings import OutFolder
from tokenworth.tasks.task_source import TaskSource

if TYPE_CHECKING:
    from tokenworth.measures import Decoder

_Model = Annotated[str, said("Folder or hub id; @random appended: random weights.")]
_Files = Annotated[list[Path], said(".txt, .txt.zst, .csv, .jsonl or .parquet.")]
_Judge = Annotated[str | None, said("Another model of the same tokens, as a judge.")]
_HeldOut = Annotated[list[Path] | None, said("Texts it was not trained on, as a control.")]
_Control = Annotated[list[str] | None, said("train (the default), shuffled, or files of texts it cannot have seen.")]
_NewFolder = Annotated[Path, said("Folder of the new checkpoint.", OutFolder)]
_COMMON = (asked.DecoderChoice, asked.Reading, WeightChoice, Options(Output, "out", "json", "quiet"))
_COLUMNS = Options(TaskSource, "text", "label", "test", "data", "seed")
_Task = Annotated[str, said(_COLUMNS.described["source"].help)]


@takes(asked.ExposureCall, *_COMMON)
def exposure(model: _Model, files: _Files, /, *, reference: _Judge = None, options: Given) -> None:
    judge = None if reference is None else _load(reference, options)
    _measure("exposure", model, files, options, asked.ExposureCall, reference=judge)


@takes(asked.MemorisationCall, *_COMMON)
def memorisation(model: _Model, files: _Files, /, *, held_out: _HeldOut = None, options: Given) -> None:
    unseen = _documents(held_out, options) if held_out else ()
    _measure("memorisation", model, files, options, asked.MemorisationCall, held_out=unseen)


@takes(asked.PositionsCall, *_COMMON)
def positions(model: _Model, files: _Files, /, *, options: Given) -> None:
    _measure("positions", model, files, options, asked.PositionsCall)


@takes(asked.RetrievalCall, *_COMMON)
def retrieval(model: _Model, files: _Files, /, *, options: Given) -> None:
    _measure("retrieval", model, files, options, asked.RetrievalCall)


@takes(asked.CompletionCall, _COLUMNS, *(kind for kind in _COMMON if kind is not asked.Reading))
def completion(model: _Model, task: _Task, /, *, control: _Control = None, options: Given) -> None:
    from tokenworth.measures.completion import control_texts, measure_completion
    from tokenworth.tasks import load_task

    decoder, loaded = _load(model, options), load_task(task, **options.of(TaskSource))
    name, settings = ", ".join(control or ["train"]), options.of(asked.CompletionCall)
    settings["length"] = min(settings.get("length", asked.CompletionCall.length), decoder.context)
    others = control_texts(loaded, control or ["train"], options.get("seed", 0))
    _show("completion", measure_completion(decoder, loaded.test.texts, others, control_name=name, **settings), options)


@takes(asked.RouterSettings, *_COMMON)
def router(model: _Model, files: _Files, /, *, options: Given) -> None:
    from tokenworth.measures import router_load, rows_of

    decoder, chosen = _load(model, options), asked.RouterSettings(**options.of(asked.RouterSettings))
    decoder.check_length(chosen.length)
    rows_NT = rows_of(decoder, _documents(files, options), chosen.length, most=chosen.most, seed=chosen.seed)
    _show("router", router_load(decoder, rows_NT), options, model=model)


@takes(ExtendCall, WeightChoice, Options(Output, "json"))
def extend(model: _Model, /, *, out: _NewFolder, options: Given) -> None:
    from tokenworth.base.atomic_files import jsonable
    from tokenworth.measures import extend_checkpoint

    done = extend_checkpoint(model, out, **options.of(ExtendCall))
    lengths = f"{out}: {done.context_before:,} -> {done.context:,} tokens by {done.method}, weights unchanged"
    rope = ", ".join(f"{key} {value}" for key, value in done.rope_parameters.items())
    print_lines(jsonable(done.asdict()), [lengths, rope], json=options.json)


def _measure(name: str, model: str, files: list[Path], options: Given, kind: type[Any], **more: Any) -> None:
    import tokenworth.measures

    measure = getattr(tokenworth.measures, f"measure_{name}")
    _show(name, measure(_load(model, options), _documents(files, options), **options.of(kind), **more), options)


def _load(model: str, options: Given) -> Decoder:
    from tokenworth.measures import load_decoder

    return load_decoder(model, **options.of(asked.DecoderChoice))


def _documents(files: list[Path], options: Given) -> list[str]:
    from tokenworth.measures import documents_of

    return documents_of(files, **options.of(asked.Reading))


def _show(name: str, result: Any, options: Given, **more: Any) -> None:
    """As JSON into a folder, as JSON to a program, as tables to a person."""
    from tokenworth.base.atomic_files import jsonable
    from tokenworth.report.terminal.measure_tables import parts_of

    facts = jsonable(result.asdict())
    write_facts(facts, options.out, name)
    if options.json:
        print_json(facts)
        return
    for part in parts_of(result, **more):
        if isinstance(part, str):
            tell(part)
        else:
            print_rows(part.rows, right=[head for head in part.rows[0] if head not in part.left])
