"""The advice in plain words: what to take, why, and what would change it."""

from __future__ import annotations

from tokenworth.adaptation.route_names import ROUTES
from tokenworth.base.progress import duration
from tokenworth.decision.advice import Option, pick, regret_of_missing
from tokenworth.decision.budget import Budget, Machine
from tokenworth.decision.decision_metric import DEFAULT_METRIC, IN_WORDS


def describe(
    options: list[Option],
    chosen: Option | None,
    tolerance: float,
    budget: Budget | None,
    machine: Machine,
    *,
    metric: str = DEFAULT_METRIC,
) -> list[str]:
    """Sentences for people; `options` are weighed."""
    if chosen is None:
        cheapest = min(options, key=lambda option: option.cost.seconds)
        limit = budget.text if budget else "the budget"
        return [
            f"Nothing fits into {limit}: the cheapest, {in_words(cheapest)}, would take {_cost(cheapest, machine)}."
        ]
    within = [option for option in options if option.affordable]
    interval = f"90 % interval {chosen.f1_low:.3f} to {chosen.f1_high:.3f}"
    expected = f"{IN_WORDS[metric]} {chosen.f1:.3f} ({chosen.source}, {interval})"
    return [
        f"Take {in_words(chosen)}: {expected} for {_cost(chosen, machine)}{_beside_words(chosen, options, machine)}.",
        *_reason(chosen, within[0], tolerance, machine),
        *_doubt(chosen, options, tolerance),
        *_changes(chosen, options, budget, machine),
        *_too_large(within[0], options, machine),
    ]


def _beside_words(chosen: Option, options: list[Option], machine: Machine) -> str:
    """What every other route has to beat."""
    words = next((option for option in options if option.route == "bow"), None)
    if words is None or words is chosen:
        return ""
    return f"; a bag of words has {words.f1:.3f} for {_cost(words, machine)}"


def in_words(option: Option) -> str:
    """LoRA of MODEL."""
    return route_in_words(option.route, option.model)


def route_in_words(route: str, model: str | None) -> str:
    """LoRA of MODEL; a bag of words, where there is no model."""
    return ROUTES[route].phrase + ("" if model is None else f" of {model}")


def _reason(chosen: Option, best: Option, tolerance: float, machine: Machine) -> list[str]:
    if best is chosen:
        return ["No other route that can be afforded is expected to bring more."]
    times = best.cost.seconds / max(chosen.cost.seconds, 1e-9)
    what = f"The best expected, {in_words(best)}, would bring {best.f1:.3f}"
    more = f"{points(best.f1 - chosen.f1)} more, within the tolerance of {points(tolerance)}"
    return [f"{what} ({more}) for {_cost(best, machine)}, {times:,.0f} times as much."]


def _doubt(chosen: Option, options: list[Option], tolerance: float) -> list[str]:
    chance = regret_of_missing(chosen, options, tolerance)
    if chance < 0.005:
        return []
    likely = max((o for o in options if o.affordable and o is not chosen), key=lambda o: o.chance_best)
    what = f"The chance that another route is better by more than {points(tolerance)} is {chance:.0%}"
    return [f"{what}; the likeliest is {in_words(likely)}. Running it, or a pilot, would settle it."]


def _changes(chosen: Option, options: list[Option], budget: Budget | None, machine: Machine) -> list[str]:
    sentences = []
    best = next(option for option in options if option.affordable)
    if best is not chosen:
        other = pick(options, max(0.0, chosen.shortfall - 1e-9)) or chosen
        sentences.append(
            f"A tolerance below {points(best.f1 - chosen.f1)} would change the advice to {in_words(other)}."
        )
    beyond = [option for option in options if option.fits and not option.affordable and option.f1 > best.f1]
    if beyond and budget is not None:
        sentences.append(
            f"Beyond the budget of {budget.text}, {in_words(beyond[0])} is expected to bring {beyond[0].f1:.3f} for "
            f"{_cost(beyond[0], machine)}."
        )
    return sentences


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
