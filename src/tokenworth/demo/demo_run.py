"""The demo: a model, its random twin and a bag of words on one task; then the advice, and what following it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from tokenworth.adaptation import AdaptResult, adapt
from tokenworth.assessment import rank
from tokenworth.assessment.assessment_result import FittedProbe
from tokenworth.assessment.probe_table import bow_row
from tokenworth.assessment.ranking_result import Ranking
from tokenworth.backbones.model_names import RANDOM_SUFFIX, model_name
from tokenworth.base.aliases import Progress
from tokenworth.base.progress import clock_time
from tokenworth.decision import Decision, decide
from tokenworth.decision.decision_summary import route_in_words
from tokenworth.demo.story_summary import Findings, examples_of, headline, summarise
from tokenworth.errors import BackboneError, SettingError
from tokenworth.report import write_report
from tokenworth.report.story import Story
from tokenworth.tasks import Task, load_task

QUESTIONS = {
    "docstrings": "Which Python library does a piece of documentation come from, its name being masked?",
    "docstring-kinds": "Does the first sentence of a piece of documentation describe a class, a function or a module?",
}
"""What the built-in tasks ask."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """One run of the demo on a built-in task, made from the docstrings of installed packages."""

    task_name: str
    out: Path
    """Folder for results and pages; the same call goes on in it after an interruption."""
    seed: int
    say: Callable[[str], None]
    """Called with a sentence on what is begun or done."""
    progress: Progress | None = None
    called: str = ""
    """What people call the network, where its own name says little."""
    max_texts: int | None = None
    """Texts of each part; None: all."""
    max_labels: int | None = None
    """Training texts; None: all."""
    max_length: int | None = None
    """Tokens kept of a text."""
    budget: str | None = None
    """Most that a route may cost, as `decide` takes it."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the learned routes."""

    def task(self) -> Task:
        """All texts of the task.

        Raises:
            SettingError: it is none of the built-in tasks.
        """
        if self.task_name not in QUESTIONS:
            raise SettingError(f"the demo has no task {self.task_name!r}; choose one of {', '.join(QUESTIONS)}")
        self.say(f"1/4 the task: {self.task_name}. {QUESTIONS[self.task_name]}")
        return load_task(self.task_name, seed=self.seed)

    def run(self, model: str, task: Task, begun: float | None = None) -> Story:
        """Rank, decide, adapt, and write the page.

        Args:
            model: folder, hub id or published name of the trained network.
            task: as `task` gives it; a sample of it is used.
            begun: `perf_counter()` when the work on the model began, where that was earlier.
        """
        start = perf_counter() if begun is None else begun
        sample = task if self.max_texts is None else task.sample(self.max_texts, seed=self.seed)
        sample = sample if self.max_labels is None else sample.sample_train(self.max_labels)
        sampled = self._sampled(task, sample)
        self.say(f"    {sampled}")
        self.say("2/4 a bag of words, then the network as it was trained and with random weights")
        words, words_of_all = self._words(task, sample)
        ranking = self._rank(model, sample, words)
        decision = self._decide(model, sample, ranking)
        run = self._follow(decision, model, sample)
        trained, random = sorted(ranking.assessments, key=lambda result: result.backbone["random"])
        findings = Findings(
            task=sample,
            name=str(self._name(model)),
            trained=trained,
            random=random,
            words=words,
            words_of_all=words_of_all,
            labels=len(task.train),
            decision=decision,
            run=run,
        )
        story = Story(
            question=QUESTIONS[self.task_name],
            sampled=sampled,
            headline=headline(findings),
            sentences=summarise(findings),
            measured=findings.measured(),
            ranking=ranking,
            decision=decision,
            run=run,
            examples=examples_of(findings, self.seed),
            pages=self._pages(decision),
        )
        return self._written(replace(story, seconds=perf_counter() - start))

    def _sampled(self, task: Task, sample: Task) -> str:
        """Which texts are used, and why not all."""
        cut = f", each cut at {self.max_length} tokens" if self.max_length else ""
        n, m = len(sample.train), len(sample.test)
        if sample is task:
            return f"All {n:,} labelled texts to learn from and {m:,} to test on are used{cut}."
        tests = f"{m:,} of {len(task.test):,}" if m < len(task.test) else f"all {m:,}"
        return (
            f"{n:,} of {len(task.train):,} labelled texts to learn from and {tests} to test on are used{cut}, drawn by "
            f"class with seed {self.seed}: two cores read so many in minutes, and where labels are few pretraining has "
            "most to give."
        )

    def _words(self, task: Task, sample: Task) -> tuple[FittedProbe, FittedProbe | None]:
        """Bags of words of the sample and, where there are more, of all labelled texts, on the same test texts."""
        words = bow_row(sample)
        self.say(f"    bag of words: F1 {words['f1']:.3f} in {clock_time(words['seconds'] or 0)}")
        if len(sample.train) == len(task.train):
            return words, None
        every = bow_row(replace(sample, train=task.train))
        told = f"F1 {every['f1']:.3f} in {clock_time(every['seconds'] or 0)}"
        self.say(f"    bag of words, taught by all {len(task.train):,} labelled texts: {told}")
        return words, every

    def _rank(self, model: str, task: Task, words: FittedProbe) -> Ranking:
        ranking = rank(
            task,
            [model, model + RANDOM_SUFFIX],
            max_length=self.max_length,
            seed=self.seed,
            baseline=dict(words),
            started=lambda name: self.say(f"    reading the texts with {self._name(name)}, all layers in one pass ..."),
            progress=self.progress,
        )
        if reasons := [row["failed"] for row in ranking.rows if row["failed"] is not None]:
            raise BackboneError(reasons[0])
        ranking.save(self.out / "ranking")
        write_report(ranking, self.out / "ranking" / "report.html")
        for result in ranking.assessments:
            place = self.out / ("random" if result.backbone["random"] else "trained")
            result.save(place)
            write_report(result, place / "report.html")
            best, name = result.best_probe(), self._name(RANDOM_SUFFIX if result.backbone["random"] else model)
            took = clock_time(result.timings["total"])
            self.say(f"    {name}: F1 {best['f1']:.3f} ({best['name']}) in {took}")
        return ranking

    def _decide(self, model: str, task: Task, ranking: Ranking) -> Decision:
        """The assessment of the trained network is not made again."""
        limit = "" if self.budget is None else f", at most {self.budget} a route"
        self.say(f"3/4 deciding: what each route would bring and cost on this machine{limit}")
        trained = next(result for result in ranking.assessments if not result.backbone["random"])
        place = self.out / "decision"
        decision = decide(
            task,
            [model],
            budget=self.budget,
            config=self._config(),
            seed=self.seed,
            assessments={model: trained},
            out=place,
        )
        write_report(decision, place / "report.html")
        for sentence in decision.sentences:
            self.say(f"    {sentence}")
        return decision

    def _follow(self, decision: Decision, model: str, task: Task) -> AdaptResult | None:
        """Run the route that is advised, as it was planned."""
        advised = decision.recommended
        if advised is None:
            return None
        self.say(f"4/4 following the advice: {route_in_words(advised['route'], self._name(advised['model']))}")
        plan = decision.settings["plan"].get(advised["model"], {}).get(advised["route"], {})
        base = None if advised["model"] is None else model
        place = self.out / "adapted" / advised["route"]  # called again on a busier day another may be advised
        config = self._config() | plan
        run = adapt(base, task, advised["route"], seed=self.seed, config=config, out=place, progress=self.progress)
        write_report(run, place / "report.html")
        self.say(f"    F1 {run.metrics['weighted_f1']:.3f} in {clock_time(run.cost['seconds'])}")
        return run

    def _name(self, model: str | None) -> str | None:
        """What people call a model; the random twin is the same network with random weights."""
        if model is None:
            return None
        if model.endswith(RANDOM_SUFFIX):
            return "the same network with random weights"
        return self.called or model_name(model)

    def _config(self) -> dict[str, Any]:
        cut = {} if self.max_length is None else {"max_length": self.max_length}
        return {"mislabelled": False, **cut, **self.config}

    def _pages(self, decision: Decision) -> dict[str, str]:
        """Pages of the parts by what they show."""
        route = "" if decision.recommended is None else decision.recommended["route"]
        parts = {
            "trained": "every score of the trained network",
            "random": "of the random one",
            "ranking": "both beside each other",
            "decision": "the decision",
            f"adapted/{route}": "the run that was advised",
            "pretrain": "the pretraining",
        }
        written = {name: f"{name}/report.html" for name in parts if (self.out / name / "report.html").is_file()}
        return {parts[name]: path for name, path in written.items()}

    def _written(self, story: Story) -> Story:
        write_report(story, self.out / "report.html")
        return story
