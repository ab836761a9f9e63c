"""The advice in stages, as a colleague would give it: what one has now, what to run next, what to expect in the end.

No chance is stated in words: "another route is better by more than a point" was said with 14 % where it never was so
(docs/results/decision.md).
"""

from __future__ import annotations

from collections.abc import Callable

from tokenworth.adaptation.route_names import ROUTES
from tokenworth.base.progress import duration
from tokenworth.decision.advice import FIRST_RUNG, Option, at_hand, next_run, pick
from tokenworth.decision.budget import Budget, Machine
from tokenworth.decision.decision_metric import DEFAULT_METRIC, IN_WORDS
from tokenworth.decision.pilot import SHARES, Narrowing

_SHORT = 60.0
"""Seconds: below this the whole run is as soon done as a pilot read."""
_TOLD = 0.005
"""The least tolerance that is told."""
_LITTLE = 0.9
"""Of an interval's width: a pilot that leaves more has hardly narrowed it."""
PilotWorth = Callable[[str], Narrowing | None]
_SHOWN = 0.0005
"""The least difference that is not 0.0 points in words."""


def describe(
    options: list[Option],
    chosen: Option | None,
    tolerance: float,
    budget: Budget | None,
    machine: Machine,
    *,
    metric: str = DEFAULT_METRIC,
    pilot_worth: PilotWorth = lambda _route: None,
) -> list[str]:
    """Sentences for people; `options` are weighed.

    ``pilot_worth`` says of a route how far pilots have narrowed its interval; it is asked where one would be told of.
    """
    if chosen is None:
        cheapest = min(options, key=lambda option: option.cost.seconds)
        limit = budget.text if budget else "the budget"
        return [
            f"Nothing fits into {limit}: the cheapest, {in_words(cheapest)}, would take {_cost(cheapest, machine)}."
        ]
    now, first = at_hand(options, tolerance), next_run(options, tolerance)
    return [
        *_now(now, options, metric, machine),
        *_next(now, first, options, tolerance, metric, machine, pilot_worth),
        *_end(chosen, (now, first), metric, machine),
        *_changes(chosen, options, tolerance, budget, machine),
        *_too_large(next(option for option in options if option.affordable), options, machine),
    ]


def _now(now: Option | None, options: list[Option], metric: str, machine: Machine) -> list[str]:
    """What can be had at once, because it was measured."""
    if now is None:
        return []
    words = _beside_words(now, options, machine)
    return [f"Now: {in_words(now)} has {_expected(now, metric)} for {_cost(now, machine)}{words}."]


def _next(
    now: Option | None,
    first: Option | None,
    options: list[Option],
    tolerance: float,
    metric: str,
    machine: Machine,
    pilot_worth: PilotWorth,
) -> list[str]:
    """The cheapest run that is expected to bring more than one has now, or else the one that might."""
    if now is None:
        return []
    if first is None:
        return _stay(now, options, tolerance, machine, pilot_worth)
    what = f"{_expected(first, metric)} for {_cost(first, machine)}"
    if first.f1_low > now.f1 + tolerance:
        return [f"Next: {in_words(first)}, {points(first.f1 - now.f1)} more: {what}."]
    unsure = (
        f"Next: {in_words(first)}, {what}. Whether it pays here cannot be told beforehand: its interval reaches below "
        "what one has now. Where the better of the two is kept, running it is expected to bring "
        f"{points(first.f1_kept - now.f1)} more."
    )
    return [unsure, _pilot(first, machine, pilot_worth)]


def _stay(now: Option, options: list[Option], tolerance: float, machine: Machine, pilot_worth: PilotWorth) -> list[str]:
    """Nothing is expected to bring more; what may."""
    said = f"Nothing else that can be afforded is expected to bring more than {points(tolerance)} more."
    learned = [option for option in options if option.affordable and option.source == "predicted"]
    able = [option for option in learned if option.f1_high > now.f1 + tolerance]
    if not able:
        return [said]
    likely = max(able, key=lambda option: (option.f1, -option.cost.seconds))
    reach = f"expected {likely.f1:.3f}, 90 % interval {likely.f1_low:.3f} to {likely.f1_high:.3f}"
    wanted = f"Next, where more is wanted: {in_words(likely)} ({reach}) for {_cost(likely, machine)}."
    return [said, wanted, _pilot(likely, machine, pilot_worth)]


def _pilot(option: Option, machine: Machine, pilot_worth: PilotWorth) -> str:
    """What a short run before the whole one would cost, where it is worth the name, and what it would tell."""
    seconds = FIRST_RUNG * option.cost.seconds
    if seconds < _SHORT:
        return "The run itself is the cheapest way to know."
    money = "" if option.cost.money is None else f" (${FIRST_RUNG * option.cost.money:,.2f})"
    place = "" if machine.measured else f" on a {machine.name}"
    cost = duration(seconds) + place + money
    said = f"A pilot (--pilot) of an eighth of its steps on four fifths of the training texts takes {cost}"
    known = pilot_worth(option.route)
    if known is None:
        return f"{said}."
    first, second = (known.shares[share] for share in SHARES)
    left = (
        f"on {known.runs} runs that were made both ways it left the 90 % interval {first:.0%} as wide, a quarter of "
        f"the steps {second:.0%}"
    )
    if min(first, second) > _LITTLE:
        return f"{said} and tells little: {left}, so that the run itself is the way to know."
    return f"{said}; {left}."


def _end(chosen: Option, named: tuple[Option | None, ...], metric: str, machine: Machine) -> list[str]:
    """The advised route, where no stage before has named it."""
    if any(chosen is option for option in named):
        return []
    more = chosen.source == "predicted" and chosen.f1_kept >= chosen.f1 + _SHOWN
    kept = f"; {chosen.f1_kept:.3f} is expected where the better of it and what one has is kept" if more else ""
    return [f"In the end: {in_words(chosen)}, {_expected(chosen, metric)} for {_cost(chosen, machine)}{kept}."]


def _expected(option: Option, metric: str) -> str:
    interval = f"90 % interval {option.f1_low:.3f} to {option.f1_high:.3f}"
    return f"{IN_WORDS[metric]} {option.f1:.3f} ({option.source}, {interval})"


def _beside_words(now: Option, options: list[Option], machine: Machine) -> str:
    """What every other route has to beat."""
    words = next((option for option in options if option.route == "bow"), None)
    if words is None or words is now:
        return ""
    return f"; a bag of words has {words.f1:.3f} for {_cost(words, machine)}"


def in_words(option: Option) -> str:
    """LoRA of MODEL."""
    return route_in_words(option.route, option.model)


def route_in_words(route: str, model: str | None) -> str:
    """LoRA of MODEL; a bag of words, where there is no model."""
    return ROUTES[route].phrase + ("" if model is None else f" of {model}")


def _changes(
    chosen: Option, options: list[Option], tolerance: float, budget: Budget | None, machine: Machine
) -> list[str]:
    sentences = []
    best = next(option for option in options if option.affordable)
    for least, other in _other_advice(options, chosen, tolerance):
        sentences.append(f"A tolerance below {points(least)} would change the advice to {in_words(other)}.")
    beyond = [option for option in options if option.fits and not option.affordable and option.f1 > best.f1]
    if beyond and budget is not None:
        sentences.append(
            f"Beyond the budget of {budget.text}, {in_words(beyond[0])} is expected to bring {beyond[0].f1:.3f} for "
            f"{_cost(beyond[0], machine)}."
        )
    return sentences


def _other_advice(options: list[Option], chosen: Option, tolerance: float) -> list[tuple[float, Option]]:
    """The highest tolerance below the given one under which something else is advised, and what; at most one.

    One below half a point is not told: any unsure run is worth a little where the better is kept.
    """
    within = [option for option in options if option.affordable]
    gaps = {more - less.f1_kept for option in within for more in (option.f1, option.f1_kept) for less in within}
    for least in sorted((gap for gap in gaps if _TOLD <= gap <= tolerance), reverse=True):
        other = pick(options, least - 1e-9)
        if other is not None and other is not chosen:
            return [(least, other)]
    return []


def _too_large(best: Option, options: list[Option], machine: Machine) -> list[str]:
    """Of what the memory keeps out, the one that would bring most."""
    out = [option for option in options if not option.fits and option.f1 > best.f1]
    if not out:
        return []
    takes, has = (f"{size / 1e9:,.1f} GB" for size in (out[0].cost.memory_bytes, machine.memory))
    there = f"{has} are free here" if machine.measured else f"a {machine.name} has {has}"
    expected = f"{in_words(out[0])} is expected to bring {out[0].f1:.3f}"
    return [f"More memory would change what can be had: {expected}, but takes at least {takes}, and {there}."]


def points(difference: float) -> str:
    """Points of the metric: .013 is 1.3 points."""
    number = f"{100 * difference:.1f}"
    return f"{number} point" + ("" if number == "1.0" else "s")


def _cost(option: Option, machine: Machine) -> str:
    money = "" if option.cost.money is None else f" (${option.cost.money:,.2f})"
    place = "" if machine.measured else f" on a {machine.name}"
    return duration(option.cost.seconds) + place + money
