"""trace: every checkpoint of a pretraining run on one or more tasks.

run -> checkpoints -> for each task: bow, assessments, LoRA and scratch -> curves -> crossings -> answer
"""

from __future__ import annotations

from pathlib import Path

from tokenworth.backbones import dtype_name, resolve_device, resolve_dtype
from tokenworth.base.locks import claimed
from tokenworth.errors import SettingError
from tokenworth.settings.signatures import keywords_of
from tokenworth.tasks import Task, load_task
from tokenworth.tracing.measurer import Measurer
from tokenworth.tracing.run_reader import Run, read_run
from tokenworth.tracing.trace_assembly import Measured, assemble, find_part
from tokenworth.tracing.trace_cells import Cells
from tokenworth.tracing.trace_result import Trace
from tokenworth.tracing.trace_settings import TraceCall, TraceSettings, budget, choose_adapted, seeds_from


@keywords_of(TraceCall)
def trace(given: TraceCall) -> Trace:
    """Trace perception along a pretraining run, and say after how many tokens it was worth its cost, if at all.

    Every checkpoint is assessed (one forward pass); on chosen ones LoRA is run, and once a task and seed training from
    random weights with the same steps, batch, learning rate and length.  Finished parts are kept in OUT/cells and never
    made again, whatever ended the run, also when the run has gone on and has more checkpoints.

    Raises:
        SettingError: no checkpoints, no task, a task given twice, or a setting that is not understood.
        BackboneError: a checkpoint that cannot be read or is of another configuration.
        TaskError, EncodeError, AdaptError: see their docstrings; one sentence each.
    """
    read, place = read_run(given.run), Path(given.run) / "trace" if given.out is None else Path(given.out)
    settings = TraceSettings(
        adapted=choose_adapted(given.adapt, read.tokens), seeds=seeds_from(given.seed, given.seeds),
        config=budget(given.config, given.max_length), seed=given.seed, max_texts=given.max_texts,
        max_length=given.max_length,
    )  # fmt: skip
    loaded = _load(given)
    with claimed(place):
        parts, cells = [], Cells(place)
        dtype = cells.dtype() or dtype_name(resolve_dtype("auto", resolve_device(given.device)))
        for task in loaded:
            measurer = Measurer(
                cells, task, settings, given.device, dtype, given.cache, given.progress, given.started or _silent
            )
            parts.append(find_part(read, task, _measure(read, measurer), given.seed))
        result = assemble(read, settings, parts)
        result.save(place)
    return result


def _load(sources: TraceCall) -> list[Task]:
    tasks = [sources.tasks] if isinstance(sources.tasks, str | Task) else list(sources.tasks)
    if not tasks:
        raise SettingError("a trace needs at least one task; give a file, a folder or a published name")
    loaded = [
        task if isinstance(task, Task) else load_task(task, data=sources.data, seed=sources.seed) for task in tasks
    ]
    loaded = [
        task if sources.max_texts is None else task.sample(sources.max_texts, seed=sources.seed) for task in loaded
    ]
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
