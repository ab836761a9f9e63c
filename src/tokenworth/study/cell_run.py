"""Keys of a study's cells, and the running of one."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from tokenworth.adaptation import adapt, make_config
from tokenworth.assessment import assess
from tokenworth.backbones import account_of
from tokenworth.backbones.loading.loader import RANDOM_SUFFIX, identity
from tokenworth.base.atomic_files import jsonable, write_text, writing
from tokenworth.base.locks import BusyError
from tokenworth.base.run_record import OtherRunError
from tokenworth.base.versions import describe_environment
from tokenworth.encode.text_loss import loss_of
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.study.cell_results import COUNTED, PUBLISHED, TEXT_LOSS, CountedWeights, PublishedScores
from tokenworth.study.grid import AS_PUBLISHED, ASSESS, COUNT, Cell, Study
from tokenworth.study.published_protocol import published_protocol
from tokenworth.study.study_store import StudyStore, cell_key
from tokenworth.tasks import Task, load_task

_log = logging.getLogger("tokenworth")


def task_of(study: Study, cell: Cell) -> Task:
    """The labelled texts of a cell.

    Raises:
        TaskError: they are not there or cannot be used.
    """
    variant = json.dumps(study.variants.get(cell.task, {}), sort_keys=True)
    return _task(cell.task, variant, study.data, study.max_texts, cell.seed)


@lru_cache(maxsize=4)
def _task(name: str, variant: str, data: str | None, max_texts: int | None, seed: int) -> Task:
    how = json.loads(variant)
    task = load_task(how.pop("source", name), data=data, seed=seed, **how)
    return task if max_texts is None else task.sample(max_texts, seed=seed)


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys of the cells of a study; texts and weights are read once each, and so are failures to."""

    study: Study
    _known: dict[tuple[str, str, int], str | TokenworthError] = field(default_factory=dict)

    def of(self, cell: Cell) -> str:
        """The key of a cell.

        Raises:
            TaskError, BackboneError: its texts or weights are not there.
        """
        if cell.route == COUNT:
            return cell_key(cell, "", cell.backbone)
        texts = self._once(("task", cell.task, cell.seed), lambda: task_of(self.study, cell).fingerprint)
        return cell_key(cell, texts, self._weights_of(cell))

    def _weights_of(self, cell: Cell) -> str | None:
        if cell.backbone is None:
            return None
        name = cell.backbone
        if cell.route == "scratch":  # it never sees the weights
            name = name.removesuffix(RANDOM_SUFFIX) + RANDOM_SUFFIX
        seed = cell.seed if name.endswith(RANDOM_SUFFIX) else 0
        return self._once(("weights", name, seed), lambda: identity(name, seed=seed))

    def _once(self, place: tuple[str, str, int], make: Callable[[], str]) -> str:
        if place not in self._known:
            try:
                self._known[place] = make()
            except TokenworthError as error:
                self._known[place] = error
        found = self._known[place]
        if isinstance(found, TokenworthError):
            raise found
        return found

    def problems(self) -> list[str]:
        """What the study names and what cannot be used, a line each."""
        named = [(name, error) for (_, name, _), error in self._known.items() if isinstance(error, TokenworthError)]
        sentences = (str(error) if str(error).startswith(name) else f"{name}: {error}" for name, error in named)
        return list(dict.fromkeys(sentences))

    def may_be(self, cell: Cell) -> str | None:
        """The key of a cell, or None, which is remembered for `problems`."""
        try:
            return self.of(cell)
        except TokenworthError:
            return None


def keyed_cells(study: Study) -> list[tuple[Cell, str]]:
    """Every cell of a study with its key.

    Raises:
        SettingError: texts or weights that are not there or cannot be used: all of them, a line each.
    """
    keys = Keys(study)
    found = [(cell, keys.may_be(cell)) for cell in study.cells()]
    if problems := keys.problems():
        raise SettingError(f"the study {study.name} cannot be run:\n  " + "\n  ".join(problems))
    return [(cell, key) for cell, key in found if key is not None]


def run_cell(study: Study, cell: Cell, key: str, root: Path, *, device: str = "auto") -> None:
    """Run one cell into its folder; one that is finished is left as it is.

    Raises:
        BusyError: another process runs it.
        TokenworthError: it failed; why is kept beside it.
    """
    store = StudyStore(root)
    with store.claimed(key, cell) as folder:
        if store.is_finished(key):
            return
        patiently(lambda: _run(study, cell, folder, device))


def _run(study: Study, cell: Cell, folder: Path, device: str) -> None:
    if cell.route == COUNT:
        _count(cell, folder)
        return
    task = task_of(study, cell)
    if cell.route == ASSESS:
        assess_cell(cell, task, folder, device=device)
    elif cell.route == AS_PUBLISHED:
        _as_published(cell, task, folder, device)
    else:
        _adapt(cell, task, folder, device)


def _adapt(cell: Cell, task: Task, folder: Path, device: str) -> None:
    """One route; what a machine with another PyTorch began is not gone on with but done anew."""
    work = partial(adapt, cell.backbone, task, cell.route, seed=cell.seed, config=cell.settings, device=device)
    try:
        work(out=folder)
    except OtherRunError as error:
        _log.warning("%s; this cell begins anew", error)
        shutil.rmtree(folder)
        work(out=folder)


def assess_cell(cell: Cell, task: Task, folder: Path, *, device: str = "auto") -> None:
    """One assessment; how well a decoder predicts the texts stands beside it."""
    assert cell.backbone is not None, "checked with the study file"
    most, dtype = cell.settings.get("max_length"), cell.settings.get("dtype", "auto")
    loss = loss_of(cell.backbone, task.train.texts, max_length=most, device=device, dtype=dtype, seed=cell.seed)
    with writing(folder) as place:
        write_text(place / TEXT_LOSS, json.dumps(jsonable(loss)))
    assess(cell.backbone, task, seed=cell.seed, out=folder, device=device, conventions=True, **cell.settings)


def _as_published(cell: Cell, task: Task, folder: Path, device: str) -> None:
    assert cell.backbone is not None, "checked with the study file"
    with writing(folder) as place:
        scores = published_protocol(cell.backbone, task, seed=cell.seed, device=device, **cell.settings)
        write_text(place / PUBLISHED, PublishedScores(**scores).to_json())


def _count(cell: Cell, folder: Path) -> None:
    """Parameters as Table 2 prints them, the true number, and those of adapters with a head left out."""
    assert cell.backbone is not None, "checked with the study file"
    counted = account_of(cell.backbone)
    rank = cell.settings.get("rank", make_config({}).rank)
    weights = CountedWeights(
        printed=counted.counted_in_paper,
        parameters=counted.parameters,
        trainable=counted.lora_parameters(rank),
        environment=describe_environment(),
    )
    with writing(folder) as place:
        write_text(place / COUNTED, weights.to_json())


def patiently(work: Callable[[], None]) -> None:
    """Do it when it can be: while another cell makes the forward pass that this one needs too, wait and use that."""
    pause = 0.5
    while not _done(work):
        time.sleep(pause)
        pause = min(2 * pause, 30.0)


def _done(work: Callable[[], None]) -> bool:
    try:
        work()
    except BusyError:
        return False
    return True
