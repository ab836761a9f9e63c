"""Keys of a study's cells, and the running of one."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

from tokenworth.adaptation import adapt, make_config
from tokenworth.adaptation.storage.saved_classifier import MODEL
from tokenworth.assessment import assess
from tokenworth.backbones import account_of
from tokenworth.backbones.loading.loader import identity
from tokenworth.backbones.model_names import RANDOM_SUFFIX
from tokenworth.base.atomic_files import write_json, writing
from tokenworth.base.locks import BusyError
from tokenworth.base.run_record import OtherRunError
from tokenworth.base.versions import describe_environment
from tokenworth.encode.text_loss import loss_of
from tokenworth.endpoints.endpoint_settings import is_endpoint
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.study.cell_results import TEXT_LOSS, CountedWeights, PublishedScores
from tokenworth.study.grid import AS_PUBLISHED, ASSESS, COUNT, Cell, Study
from tokenworth.study.published_protocol import published_protocol
from tokenworth.study.study_store import StudyStore, cell_key
from tokenworth.tasks import Task, load_task

_log = logging.getLogger("tokenworth")


def task_of(study: Study, cell: Cell) -> Task:
    """The labelled texts of a cell.  TaskError: they are not there or cannot be used."""
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
    _fingerprints: dict[tuple[str, str, int], str | TokenworthError] = field(default_factory=dict)

    def of(self, cell: Cell) -> str:
        """The key of a cell.  TaskError, BackboneError: its texts or weights are not there."""
        if cell.route == COUNT:
            return cell_key(cell, "", cell.backbone)
        texts = self._once(("task", cell.task, cell.seed), lambda: task_of(self.study, cell).fingerprint)
        if (name := cell.backbone) is None:
            return cell_key(cell, texts, None)
        if is_endpoint(name):  # its address stands among the settings
            return cell_key(cell, texts, name)
        if cell.route == "scratch":  # it never sees the weights
            name = name.removesuffix(RANDOM_SUFFIX) + RANDOM_SUFFIX
        seed = cell.seed if name.endswith(RANDOM_SUFFIX) else 0
        return cell_key(cell, texts, self._once(("weights", name, seed), lambda: identity(name, seed=seed)))

    def _once(self, place: tuple[str, str, int], make: Callable[[], str]) -> str:
        if place not in self._fingerprints:
            try:
                self._fingerprints[place] = make()
            except TokenworthError as error:
                self._fingerprints[place] = error
        fingerprint = self._fingerprints[place]
        if isinstance(fingerprint, TokenworthError):
            raise fingerprint
        return fingerprint

    def problems(self) -> list[str]:
        """What was named and cannot be used, a line each."""
        errors = [(name, error) for (_, name, _), error in self._fingerprints.items() if isinstance(error, Exception)]
        lines = (str(error) if str(error).startswith(name) else f"{name}: {error}" for name, error in errors)
        return list(dict.fromkeys(lines))


def keyed_cells(study: Study) -> list[tuple[Cell, str]]:
    """Every cell of a study with its key.

    Raises SettingError: texts or weights that are not there or cannot be used: all of them, a line each.
    """
    keys, cells = Keys(study), []
    for cell in study.cells():
        with suppress(TokenworthError):  # said of all together
            cells.append((cell, keys.of(cell)))
    if problems := keys.problems():
        raise SettingError(f"the study {study.name} cannot be run:\n  " + "\n  ".join(problems))
    return cells


def run_cell(study: Study, cell: Cell, key: str, root: Path, *, device: str = "auto") -> None:
    """Run one cell into its folder; one that is finished is left as it is.

    Raises:
        BusyError: another process runs it.
        TokenworthError: it failed; why is kept beside it.
    """
    StudyStore(root).once((key, cell), lambda folder: patiently(partial(_run, study, cell, folder, device)))


def patiently(work: Callable[[], None]) -> None:
    """Do it when it can be: while another cell makes the forward pass that this one needs too, wait and use that."""
    pause = 0.5
    while True:
        try:
            return work()
        except BusyError:  # noqa: PERF203 - seconds lie between
            time.sleep(pause)
            pause = min(2 * pause, 30.0)


def _run(study: Study, cell: Cell, folder: Path, device: str) -> None:
    if cell.route == COUNT:
        _count(cell, folder)
    else:
        run = {ASSESS: assess_cell, AS_PUBLISHED: _as_published}.get(cell.route, _adapt)
        run(cell, task_of(study, cell), folder, device=device)


def _adapt(cell: Cell, task: Task, folder: Path, *, device: str) -> None:
    """One route, of which the classifier is not kept; what another PyTorch began is not gone on with but done anew.

    What a study does not say is the papers' protocol, unless it says protocol: false.
    """
    settings = {"protocol": True, **cell.settings}
    work = partial(adapt, cell.backbone, task, cell.route, seed=cell.seed, config=settings, device=device)
    try:
        work(out=folder)
    except OtherRunError as error:
        _log.warning("%s; this cell begins anew", error)
        shutil.rmtree(folder)
        work(out=folder)
    # A study is read for its figures; the networks of a real one would fill a disk (a gigabyte a cell).
    shutil.rmtree(folder / MODEL, ignore_errors=True)


def assess_cell(cell: Cell, task: Task, folder: Path, *, device: str = "auto") -> None:
    """One assessment; how well a decoder predicts the texts stands beside it."""
    assert cell.backbone is not None, "checked with the study file"
    most, dtype = cell.settings.get("max_length"), cell.settings.get("dtype", "auto")
    loss = loss_of(cell.backbone, task.train.texts, max_length=most, device=device, dtype=dtype, seed=cell.seed)
    with writing(folder) as place:
        write_json(place / TEXT_LOSS, loss, indent=None)
    assess(cell.backbone, task, seed=cell.seed, out=folder, device=device, conventions=True, **cell.settings)


def _as_published(cell: Cell, task: Task, folder: Path, *, device: str) -> None:
    assert cell.backbone is not None, "checked with the study file"
    with writing(folder) as place:
        measured = published_protocol(cell.backbone, task, seed=cell.seed, device=device, **cell.settings)
        PublishedScores(**measured).save(place)


def _count(cell: Cell, folder: Path) -> None:
    """Parameters as Table 2 prints them, the true number, and those of adapters with a head left out."""
    assert cell.backbone is not None, "checked with the study file"
    account = account_of(cell.backbone)
    counts = CountedWeights(
        printed=account.counted_in_paper,
        parameters=account.parameters,
        trainable=account.lora_parameters(cell.settings.get("rank", make_config({}).rank)),
        environment=describe_environment(),
    )
    counts.save(folder)
