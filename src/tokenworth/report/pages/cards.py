"""The few figures at the top of a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tokenworth.report.displayed_values import ABSENT, cut, duration, number, parameters, short, shown, tight
from tokenworth.report.result_values import Row, best_probe, is_tied, probe_of_kind, rank_figures, reading_at, row_at

if TYPE_CHECKING:
    from tokenworth.assessment import Assessment, Ranking


@dataclass(frozen=True, slots=True)
class Card:
    """One figure: what it is, the figure, and up to two lines that make sense of it."""

    name: str
    value: str
    lines: tuple[str, ...] = ()
    accent: bool = False


def assessment_cards(result: Assessment) -> list[Card]:
    """Quality beside what it has to beat, then where it sits and what it took."""
    probe, bow, majority = best_probe(result), probe_of_kind(result, "bow"), probe_of_kind(result, "majority")
    size = f"{parameters(result.backbone.get('n_parameters'))} parameters"
    cards = [
        _quality(f"F1, {cut(probe.get('name', 'probe'), 40)}", probe, accent=True),
        _quality("F1, bag of words", bow, f"majority class {shown(majority.get('f1'))}" if majority else ""),
        _layer(result),
    ]
    retained = number(row_at(result, result.best_layer).get("retained_auc")) is not None
    return [*cards, *([_retained(result)] if retained else []), Card("Time", duration(_total(result)), (size,))]


def _quality(name: str, probe: Row, more: str = "", accent: bool = False) -> Card:
    between = tight(probe.get("f1_low"), probe.get("f1_high"))
    accuracy = f"accuracy {shown(probe.get('accuracy'))}" if number(probe.get("accuracy")) is not None else ""
    lines = (f"{between} (95 %)" if between else "", more or accuracy)
    return Card(name, shown(probe.get("f1")), tuple(line for line in lines if line), accent)


def _layer(result: Assessment) -> Card:
    share = number((result.best_layer_frequency or {}).get(str(result.best_layer)))
    lines = [f"of 0 to {result.backbone['n_layers']}, by training texts"]
    lines += [f"read as {reading}"] if (reading := reading_at(result, result.best_layer)) else []
    lines += [f"same choice in {share:.0%} of resamples"] if share is not None else []
    return Card("Best layer", str(result.best_layer), tuple(lines))


def _retained(result: Assessment) -> Card:
    row = row_at(result, result.best_layer)
    chance, k90 = number(row.get("retained_auc_chance")), number(row.get("k90"))
    lines = [f"by chance {shown(chance)}"] if chance is not None else []
    lines += [f"k90: {k90:,.0f} of {result.backbone['width']:,} directions" if k90 is not None else "k90 unknown"]
    return Card("Retained area", shown(row.get("retained_auc")), tuple(lines))


def _total(result: Assessment) -> float | None:
    """The stated total, else the sum of the parts."""
    total = number(result.timings.get("total"))
    parts = [seconds for seconds in map(number, result.timings.values()) if seconds is not None]
    return total if total is not None else sum(parts) if parts else None


def ranking_cards(ranking: Ranking) -> list[Card]:
    """The winner, what it has to beat, how many share the first place, what it took."""
    done = [row for row in ranking.rows if not row.get("failed")]
    failed = len(ranking.rows) - len(done)
    figures = rank_figures(done[0] if done else {})
    ties = sum(map(is_tied, done))
    seconds = [time for time in (number(row.get("seconds")) for row in ranking.rows) if time is not None]
    between = tight(figures.get("f1_low"), figures.get("f1_high"))
    first = f"F1, {cut(short(done[0]['name'], 1), 40)}" if done else "Best backbone"
    advice = "take the cheapest of them" if ties else "no other is within its noise"
    return [
        Card(first, shown(figures.get("f1")), (f"{between} (95 %)",) if between else (), accent=True),
        _quality("F1, bag of words", ranking.baseline),
        Card("Tied with the best", str(ties) if done else ABSENT, (advice,)),
        Card("Backbones", str(len(ranking.rows)), (f"{failed} failed" if failed else "all assessed",)),
        Card("Time", duration(sum(seconds)) if seconds else ABSENT, ("all backbones together",)),
    ]
