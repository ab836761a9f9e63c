"""The demo: pretrain a small decoder, assess it beside its random twin, decide, and follow the advice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from tokenworth.adaptation import adapt
from tokenworth.assessment import rank
from tokenworth.assessment.ranking_result import Ranking
from tokenworth.base.atomic_files import write_table, writing
from tokenworth.decision import decide
from tokenworth.pretraining import PretrainPage, make_config, package_texts, pretrain
from tokenworth.report import write_report
from tokenworth.tasks import Task, load_task

_CONTEXT, _BATCH = 128, 8
_TRAINING = {"lr": 6e-3, "warmup_share": 0.05, "held_out_share": 0.02, "trace_per_decade": 0}
_BYTES, _STEP_BYTES = 3_000_000, 20_000
"""Of documents, at most, and for each step: several times what it reads, as the tokenizer learns from them too."""
_ROUTE_STEPS = 300
"""Of a learned route: what a demo can wait for."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """One run of the demo; its parts are called in their order."""

    out: Path
    steps: int
    """Of pretraining: a number and no time budget, so that a seed gives the same model on a slower day."""
    seed: int
    say: Callable[[str], None]
    """Called with a sentence on what is begun or done."""
    progress: Callable[[str, int, int], None] | None = None

    def rank(self, max_texts: int | None) -> tuple[Task, Path, Ranking]:
        """Pretrain on the docstrings of installed packages, and rank the model beside its random twin."""
        self.say("docstrings: building the task from installed packages")
        task = load_task("docstrings", seed=self.seed)
        room = min(_BYTES, self.steps * _STEP_BYTES)
        documents = package_texts(exclude=[*task.train.texts, *task.test.texts], seed=self.seed, max_bytes=room)
        task = task if max_texts is None else task.sample(max_texts, seed=self.seed)
        folder = self._pretrained(documents, self.out / "pretrain")
        models = [str(folder), f"{folder}@random"]
        ranking = rank(task, models, seed=self.seed, started=self._say_assessing, progress=self.progress)
        ranking.save(self.out)
        for assessment, name in zip(ranking.assessments, ("first", "second"), strict=False):
            assessment.save(self.out / name)
            write_report(assessment, self.out / name / "report.html")
        write_report(ranking, self.out / "report.html")
        return task, folder, ranking

    def _say_assessing(self, name: str) -> None:
        self.say(f"assessing {name}")

    def _pretrained(self, documents: list[str], run: Path) -> Path:
        """The last checkpoint of a small run on the documents."""
        self.say(f"pretraining on {len(documents):,} documents")
        with writing(run) as place:
            write_table(place / "documents.parquet", pd.DataFrame({"text": documents}))
        tokens = self.steps * _BATCH * _CONTEXT
        config = make_config(
            {
                "sources": {"packages": str(run / "documents.parquet")},
                "tokenizer": {"vocabulary": 2048},
                "model": {"layers": 4, "width": 128, "heads": 4},
                "training": {"context": _CONTEXT, "batch": _BATCH, "tokens": tokens, **_TRAINING},
                "seed": self.seed,
            }
        )
        trained = pretrain(config, run, progress=self.progress)
        write_report(PretrainPage.load(run), run / "report.html")
        bits = trained.held_out["packages"]["bits_per_byte"]
        self.say(f"{trained.parameters['total']:,} parameters, {bits:.3f} bits a byte on held-out documents")
        return run / "checkpoints" / f"tokens-{trained.tokens}"

    def follow_advice(self, task: Task, folder: Path) -> None:
        """Ask which route is worth its cost, and run the one that is advised."""
        self.say("deciding: what each route would bring and cost")
        config = {"steps": _ROUTE_STEPS, "lr": 1e-3, "mislabelled": False}
        decision = decide(task, [str(folder)], config=config, seed=self.seed, out=self.out / "decision")
        write_report(decision, self.out / "decision" / "report.html")
        for sentence in decision.sentences:
            self.say(f"- {sentence}")
        advised = decision.recommended
        if advised is not None:
            model, place = None if advised["model"] is None else str(folder), self.out / "adapted"
            run = adapt(model, task, advised["route"], seed=self.seed, config=config, out=place)
            write_report(run, place / "report.html")
            self.say(f"{advised['route']}: weighted F1 {run.metrics['weighted_f1']:.3f}, in {place}")
