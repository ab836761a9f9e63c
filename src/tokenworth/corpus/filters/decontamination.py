"""The stage that keeps texts of tasks out of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from pathlib import Path
from typing import Any, ClassVar

from tokenworth.base.cell_store import content_key
from tokenworth.corpus.document import Document, Ledger
from tokenworth.corpus.engine.shard_store import WORK
from tokenworth.corpus.engine.stage import Preparation, ShardStage, Stage
from tokenworth.errors import SettingError
from tokenworth.settings import Count, check_fields


@dataclass(frozen=True, kw_only=True, slots=True)
class Decontaminate(ShardStage):
    """Documents that share a run of n words with a text of a task are dropped.

    The texts are looked for as they are and as the stages before this one make them, so that neither the Unicode form
    nor what was redacted hides one.
    """

    name: ClassVar[str] = "decontaminate"
    found_by_path: ClassVar[tuple[str, ...]] = ("tasks",)
    tasks: tuple[str, ...] = ()
    """As `load_task` takes them."""
    n: Count = 13
    """Words of a run."""
    splits: tuple[str, ...] = ("test",)
    """Parts of a task whose texts must not be there; those of the others are counted only."""
    index: str = ""
    """File with the runs to look for, which the build makes of the tasks."""

    def __post_init__(self) -> None:
        check_fields(self)
        if wrong := set(self.splits) - {"test", "train"}:
            raise SettingError(f"decontaminate: a task has no split {min(wrong)!r}; there are test and train")

    def prepare(self, work: Preparation) -> Stage:
        """With the runs of its tasks' texts in a folder of the work folder."""
        from tokenworth.corpus.filters.contamination import index_of, load_index, save_index
        from tokenworth.tasks import load_task

        tasks = [load_task(name) for name in self.tasks]
        work.notes.extend(
            f"task {task.name} has no test part of its own: its test texts are those that seed {task.seed} holds out; "
            "write 'splits: [test, train]' to keep all of its texts out of the corpus"
            for task in tasks
            if task.test_is_drawn and "train" not in self.splits
        )
        before = [[stage.facts() for stage in way] for way in work.ways]
        names, fingerprints = [task.name for task in tasks], [task.fingerprint for task in tasks]
        path = work.root / f"index-{content_key(['index', 2, self.n, fingerprints, names, before])}"
        forms = [partial(reduce, lambda text, stage: stage.form_of(text), way) for way in work.ways]
        WORK.once(path / "owner.json", lambda folder: save_index(folder, index_of(tasks, self.n, forms=forms)))
        if short := load_index(str(path)).too_short:
            work.notes.append(
                f"decontaminate: {short:,} task texts of fewer than 6 words are too short to be looked for"
            )
        return replace(self, index=str(path))

    def facts(self) -> dict[str, Any]:
        """With the name of the index, which stands for its contents, and not its place."""
        values = Stage.facts(self)  # a class with slots is made anew, which super() does not know
        return {**values, "index": Path(self.index).name} if self.index else values

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """Documents without a run of those splits."""
        from tokenworth.corpus.filters.contamination import comparable, load_index, look

        hits_of = look([document.text for document in documents], load_index(self.index))
        kept = []
        for i, document in enumerate(documents):
            hits = hits_of.get(i, ())
            for task, split in {(hit.task, hit.split) for hit in hits}:
                ledger.count("contaminated documents", f"{task} {split}")
            for hit in hits:
                ledger.count("task texts found", f"{hit.task} {hit.split} {hit.row}")
            spoilt = next((hit for hit in hits if hit.split in self.splits), None)
            if spoilt is None:
                kept.append(document)
            else:
                near = comparable(document.text)[max(0, spoilt.start - 40) :]
                ledger.drop(replace(document, text=near), f"holds {spoilt.split} text of {spoilt.task}")
        return kept
