"""trace: every checkpoint of a pretraining run, or of a list, on one or more tasks.

run or list -> checkpoints -> for each task: bow, assessments, LoRA and scratch -> curves -> crossings -> answer
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tokenworth.backbones import dtype_name, resolve_device, resolve_dtype
from tokenworth.base.locks import claimed
from tokenworth.errors import SettingError
from tokenworth.settings.declarations import part_of
from tokenworth.settings.signatures import keywords_of
from tokenworth.tasks import Task, load_task
from tokenworth.tracing.checkpoint_settings import CheckpointChoice
from tokenworth.tracing.checkpoint_sources import default_folder
from tokenworth.tracing.held_out_losses import held_out_texts, with_held_out_losses
from tokenworth.tracing.measurer import Measurer
from tokenworth.tracing.run_reader import Run, read_run
from tokenworth.tracing.trace_assembly import Measured, assemble, find_part
from tokenworth.tracing.trace_cells import Cells
from tokenworth.tracing.trace_result import Trace
from tokenworth.tracing.trace_settings import TraceCall, TraceSettings, budget, choose_adapted, seeds_from


@keywords_of(TraceCall)
def trace(call: TraceCall) -> Trace:
    """Trace perception along a pretraining run, and say after how many tokens it was worth its cost, if at all.

    The run may be one of `pretrain`, a list of checkpoints, or revisions of a hub id.  Every checkpoint is assessed
    (one forward pass); on chosen ones LoRA is run, and once a task and seed training from random weights with the same
    steps, batch, learning rate and length.  Finished parts are kept in OUT/cells and never made again, whatever ended
    the run, also when the run has gone on and has more checkpoints.

    Raises:
        SettingError: no checkpoints, tokens unknown, no task, a task given twice, or a setting that is not understood.
        BackboneError: a checkpoint that cannot be read or is of another configuration.
        TaskError, EncodeError, AdaptError: see their docstrings; one sentence each.
    """
    config = budget(call.config, call.max_length)
    call = replace(call, max_length=config.max_length)  # also where the settings of LoRA alone say it
    read = read_run(call.run, part_of(CheckpointChoice, call), seed=call.seed)
    place = default_folder(call.run, call.revisions) if call.out is None else Path(call.out)
    settings = TraceSettings(
        adapted=choose_adapted(call.adapt, read.tokens), seeds=seeds_from(call.seed, call.seeds),
        config=config, seed=call.seed, max_texts=call.max_texts,
        max_length=call.max_length,
    )  # fmt: skip
    loaded, held_out = _load(call), None if call.texts is None else held_out_texts(call.texts)
    with claimed(place):
        parts, cells = [], Cells(place)
        dtype = cells.dtype() or dtype_name(resolve_dtype("auto", resolve_device(call.device)))
        if held_out is not None:
            read = with_held_out_losses(read, held_out, cells, dtype, call)
        for task in loaded:
            measurer = Measurer(
                cells, task, settings, call.device, dtype, call.cache, call.progress, call.started or _silent
            )
            parts.append(find_part(read, task, _measure(read, measurer), call.seed))
        result = assemble(read, settings, parts)
        result.save(place)
    return result


def _load(call: TraceCall) -> list[Task]:
    sources = [call.tasks] if isinstance(call.tasks, str | Task) else list(call.tasks)
    if not sources:
        raise SettingError("a trace needs at least one task; give a file, a folder or a published name")
    loaded = [task if isinstance(task, Task) else load_task(task, data=call.data, seed=call.seed) for task in sources]
    for task in loaded:
        task.refuse_several("a trace")
    loaded = [task if call.max_texts is None else task.sample(call.max_texts, seed=call.seed) for task in loaded]
    names = [task.name for task in loaded]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SettingError(f"two of the tasks are called {twice!r}; give each once, or rename one of the files")
    return loaded


def _silent(_name: str) -> None:
    """Where nobody wants to know what is begun."""


def _measure(run: Run, measurer: Measurer) -> Measured:
    """All cells of a task, the cheap ones first."""
    settings, bow = measurer.settings, measurer.bow()
    assessed = {checkpoint.tokens: measurer.assessed(checkpoint, bow) for checkpoint in run.checkpoints}
    seeds = settings.seeds if settings.adapted else ()
    scratch = [measurer.scratch(run.checkpoints[0], seed) for seed in seeds]
    lora = {
        checkpoint.tokens: [measurer.adapted(checkpoint, seed) for seed in seeds]
        for checkpoint in run.checkpoints
        if checkpoint.tokens in settings.adapted
    }
    return Measured(bow, assessed, lora, scratch)
