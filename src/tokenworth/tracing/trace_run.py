"""trace: every checkpoint of a pretraining run on one or more tasks.

run -> checkpoints -> for each task: bow, assessments, LoRA and scratch -> curves -> crossings -> answer
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenworth.adaptation import AdaptConfig
from tokenworth.backbones import dtype_name, resolve_device, resolve_dtype
from tokenworth.base.aliases import Progress
from tokenworth.base.locks import claimed
from tokenworth.errors import SettingError
from tokenworth.settings import Count, OutFolder, Place, Seed, checked_arguments
from tokenworth.tasks import Task, load_task
from tokenworth.tracing.measurer import Measurer
from tokenworth.tracing.run_reader import Run, read_run
from tokenworth.tracing.trace_assembly import Measured, assemble, find_part
from tokenworth.tracing.trace_cells import Cells
from tokenworth.tracing.trace_result import Trace
from tokenworth.tracing.trace_settings import TraceSettings, budget, choose_adapted, seeds_from

Started = Callable[[str], None]


@checked_arguments
def trace(
    run: Place,
    tasks: str | Task | Sequence[str | Task],
    *,
    data: str | Path | None = None,
    max_texts: int | None = None,
    max_length: Count | None = None,
    adapt: str = "ends",
    seeds: Count = 1,
    config: AdaptConfig | dict[str, Any] | str | Path | None = None,
    seed: Seed = 0,
    device: str = "auto",
    cache: str | Path | bool = True,
    out: OutFolder = None,
    started: Started | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Trace perception along a pretraining run, and say after how many tokens it was worth its cost, if at all.

    Every checkpoint is assessed (one forward pass); on chosen ones LoRA is run, and once a task and seed training from
    random weights with the same steps, batch, learning rate and length.  Finished parts are kept in OUT/cells and never
    made again, whatever ended the run, also when the run has gone on and has more checkpoints.

    Args:
        run: folder of a pretraining run; see `read_run`.
        tasks: one or more, each anything `load_task` takes, or a Task.
        data: folder with local copies of published tasks.
        max_texts: sample so many texts of each part, by class.
        max_length: tokens kept of a text; None keeps what the model can read.
        adapt: checkpoints that LoRA adapts: "ends" (first, middle, last), "last", "all", "none", or "N,N,..." tokens.
        seeds: runs of LoRA and scratch, with seeds from `seed` on.
        config: settings of LoRA and scratch, as `adapt` takes them; 1,000 steps where nothing is said.
        seed: of samples, folds, resampling, and the first of the routes' seeds.
        device: "auto", "cpu", "cuda", "mps".
        cache: where the passes are kept; as in `assess`.
        out: folder for cells, trace.parquet and trace.json; None takes RUN/trace.
        started: called with the name of each part that is begun.
        progress: called as progress(what, done, total).

    Raises:
        SettingError: no checkpoints, no task, a task given twice, or a setting that is not understood.
        BackboneError: a checkpoint that cannot be read or is of another configuration.
        TaskError, EncodeError, AdaptError: see their docstrings; one sentence each.
    """
    read, place = read_run(run), Path(run) / "trace" if out is None else Path(out)
    settings = TraceSettings(
        adapted=choose_adapted(adapt, read.tokens), seeds=seeds_from(seed, seeds), config=budget(config, max_length),
        seed=seed, max_texts=max_texts, max_length=max_length,
    )  # fmt: skip
    loaded = _load(tasks, data, max_texts, seed)
    with claimed(place):
        parts, cells = [], Cells(place)
        dtype = cells.dtype() or dtype_name(resolve_dtype("auto", resolve_device(device)))
        for task in loaded:
            measurer = Measurer(cells, task, settings, device, dtype, cache, progress, started or _silent)
            parts.append(find_part(read, task, _measure(read, measurer), seed))
        result = assemble(read, settings, parts)
        result.save(place)
    return result


def _load(
    tasks: str | Task | Sequence[str | Task], data: str | Path | None, max_texts: int | None, seed: int
) -> list[Task]:
    sources = [tasks] if isinstance(tasks, str | Task) else list(tasks)
    if not sources:
        raise SettingError("a trace needs at least one task; give a file, a folder or a published name")
    loaded = [task if isinstance(task, Task) else load_task(task, data=data, seed=seed) for task in sources]
    loaded = [task if max_texts is None else task.sample(max_texts, seed=seed) for task in loaded]
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
