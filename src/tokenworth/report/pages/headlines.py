"""The head of each page: of what it is, and its figure beside what that is to be compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from tokenworth.adaptation.route_names import route_title
from tokenworth.report.displayed_values import capital, clean, number, short, shown
from tokenworth.report.pages.corpus_words import amounts_read, size_text
from tokenworth.report.result_values import Row, best_probe, is_tied, metric_word, probe_of_kind, rank_figures

if TYPE_CHECKING:
    from tokenworth.adaptation import AdaptResult
    from tokenworth.assessment import Assessment, Ranking
    from tokenworth.corpus.output.build_report import CorpusReport
    from tokenworth.decision import Decision
    from tokenworth.pretraining import PretrainPage
    from tokenworth.report.story import Story
    from tokenworth.tracing import Trace

_F1, _WORDS = "weighted F1", "a bag of words"


class Headline(NamedTuple):
    """Of a page: both together are its title."""

    about: str
    says: str

    @property
    def title(self) -> str:
        """On one line."""
        return f"{self.about}: {self.says}"


def beside(figure: str, value: Any, reference: str, compared: Any, remark: str = "") -> str:
    """`weighted F1 0.534, a bag of words 0.630`; without what is not known."""
    known = [f"{figure} {shown(value)}{f' ({remark})' if remark else ''}"] if number(value) is not None else []
    known += [f"{reference} {shown(compared)}"] if number(compared) is not None else []
    return ", ".join(known) or "nothing could be measured"


def assessment_headline(result: Assessment) -> Headline:
    """An Assessment."""
    about = f"{short(result.backbone['name'], 1)} on {clean(result.task['name'])}"
    words = probe_of_kind(result, "bow").get("f1")
    return Headline(about, beside(_F1, best_probe(result).get("f1"), _WORDS, words))


def ranking_headline(ranking: Ranking) -> Headline:
    """A Ranking."""
    task, done = clean(ranking.task["name"]), [row for row in ranking.rows if not row.get("failed")]
    if not done:
        return Headline(task, "no backbone could be assessed")
    tied = sum(map(is_tied, done))
    place = f"is first, {tied} tied with it" if tied else "is first"
    figures = beside(_F1, rank_figures(done[0]).get("f1"), _WORDS, ranking.baseline.get("f1"))
    return Headline(task, f"{short(done[0]['name'], 1)} {place}: {figures}")


def adapt_headline(result: AdaptResult) -> Headline:
    """An AdaptResult."""
    model = f" of {short(result.backbone['name'], 1)}" if result.backbone else ""
    route = capital(route_title(result.route)) if result.made_by == result.route else result.made_by
    common = f"always the most frequent {'label' if result.several else 'class'}"
    majority = (result.facts.get("majority") or {}).get("weighted_f1")
    about = f"{route}{model} on {clean(result.task['name'])}"
    return Headline(about, beside(_F1, result.metrics.get("weighted_f1"), common, majority))


def decision_headline(decision: Decision) -> Headline:
    """A Decision."""
    task, advised = clean(decision.task["name"]), decision.recommended
    if advised is None:
        return Headline(task, "no route fits the budget")
    model = f" of {clean(short(advised['model'], 1))}" if advised["model"] else ""
    words = None if advised["route"] == "bow" else words_row(decision).get("f1")
    figures = beside(metric_word(decision), advised["f1"], _WORDS, words, advised["source"])
    run = "to try " if _may_be_behind(decision, advised) else ""
    return Headline(task, f"the advice is {run}{route_title(advised['route'])}{model}, {figures}")


def _may_be_behind(decision: Decision, advised: Row) -> bool:
    """Whether what was measured is expected to be no worse than the advised run, which may be better all the same."""
    had = [number(row["f1"]) or 0.0 for row in decision.options if row["source"] == "measured" and row["affordable"]]
    return advised["source"] == "predicted" and (number(advised["f1"]) or 0.0) <= max(had, default=0.0)


def words_row(decision: Decision) -> Row:
    """The bag of words among the options of a decision; empty where there is none."""
    return next((row for row in decision.options if row["route"] == "bow"), {})


def story_headline(story: Story) -> Headline:
    """A Story."""
    return Headline(clean(story.ranking.task["name"]), clean(story.headline))


def trace_headline(trace: Trace) -> Headline:
    """A Trace."""
    worth = sum(task["verdict"]["answer"] == "yes" for task in trace.tasks)
    tasks = "task" if len(trace.tasks) == 1 else "tasks"
    return Headline(
        clean(trace.run["name"]), f"pretraining was worth its cost on {worth} of {len(trace.tasks)} {tasks}"
    )


def pretrain_headline(page: PretrainPage) -> Headline:
    """A PretrainPage."""
    run = page.run
    about = f"A decoder of {run.parameters['total']:,} parameters"
    if not run.finished or not run.held_out:
        return Headline(about, "the run is not finished" if not run.finished else f"{run.tokens:,} tokens learnt from")
    name, held = next(iter(run.held_out.items()))
    start = bits_before(page).get(name)
    return Headline(
        about, beside("bits a byte", held["bits_per_byte"], "before the run", start, f"held-out {clean(name)}")
    )


def bits_before(page: PretrainPage) -> dict[str, float]:
    """Bits a byte of held-out documents before anything was learnt, by source."""
    first: Row = next((row["held_out"] for row in page.journal if "held_out" in row and row["tokens"] == 0), {})
    return {name: held["bits_per_byte"] for name, held in first.items()}


def corpus_headline(report: CorpusReport) -> Headline:
    """A corpus."""
    read, output = amounts_read(report), report["output"]
    documents = f"{output['documents']:,} of {read['documents']:,} documents"
    return Headline(clean(report["name"]), f"{documents}, {size_text(output['bytes'])} of {size_text(read['bytes'])}")
