"""The answer in plain words: after how many tokens pretraining was worth its cost, and what stands behind it."""

from __future__ import annotations

from collections.abc import Sequence

from tokenworth.tracing.crossing import NEVER, START
from tokenworth.tracing.trace_result import Crossing, Gain, RunFacts, TaskEntry, Verdict

ROUTES = {"probe": "the linear probe", "lora": "LoRA"}
REFERENCES = {"bow": "the bag of words", "scratch": "training from random weights", "both": "both"}
YES, UNCLEAR, NO, WITHOUT = "yes", "unclear", "no", "without"


def amount(count: float) -> str:
    """Tokens as people say them: 0, 950, 12 k, 1.3 M, 2.1 B."""
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= 0.9995 * size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f}"


def verdict_of(crossings: Sequence[Crossing], gains: Sequence[Gain]) -> Verdict:
    """The answer for one task, from the route that passes all references first, else the one ahead at the end.

    YES: it stays above them from some tokens on, and its lead at the end is beyond the noise of the test texts.
    UNCLEAR: the lead at the end is within that noise.  NO: it is behind at the end.
    WITHOUT: ahead already at 0 tokens, and no gain over 0 tokens beyond the noise: random weights do as well.
    """
    hardest = "both" if any(row["reference"] == "both" for row in crossings) else "bow"
    overall = [row for row in crossings if row["reference"] == hardest]
    passed = [row for row in overall if row["state"] != NEVER]
    best = min(passed, key=_tokens) if passed else max(overall, key=lambda row: row["lead"])
    gain = next((row for row in gains if row["route"] == best["route"]), None)
    if best["state"] == START and gain is not None and gain["from_tokens"] == 0 and gain["low"] <= 0:
        answer = WITHOUT
    elif best["lead_low"] <= 0 <= best["lead_high"]:
        answer = UNCLEAR
    else:
        answer = YES if best["lead"] > 0 else NO
    return {"answer": answer, **best, "gain": gain}


def task_sentences(task: TaskEntry, run: RunFacts) -> list[str]:
    """The answer for a task, then its crossings, its gains over random weights, and the price."""
    return [
        _answer(task, run),
        *(_crossings(task, route) for route in ROUTES if any(c["route"] == route for c in task["crossings"])),
        *([f"Pretraining itself moved {', and '.join(map(_gain, task['gains']))}."] if task["gains"] else []),
        *_extrapolated(task, run),
        *_price(task, run),
    ]


def _answer(task: TaskEntry, run: RunFacts) -> str:
    verdict, end = task["verdict"], amount(run["tokens"])
    route, best = ROUTES[verdict["route"]], _best_without(task)
    if verdict["answer"] == WITHOUT:
        return (
            f"{task['name']}: no: {route} is ahead of {best} already with random weights, and {end} tokens of "
            "pretraining add nothing beyond the noise of the test texts."
        )
    where = "at its end" if verdict["end"] == run["tokens"] else f"at {amount(verdict['end'])} tokens"
    if verdict["answer"] == NO:
        return f"{task['name']}: no, not within this run of {end} tokens: {where} {route} is {_lead(verdict)} {best}."
    if verdict["answer"] == YES and verdict["state"] == START and verdict["tokens"] == 0:
        added = verdict["gain"]["gain"] if verdict["gain"] else 0.0
        return (
            f"{task['name']}: yes, though {route} is ahead of {best} already with random weights: {end} tokens of "
            f"pretraining add {added:.3f} weighted F1, and {where} it is {_lead(verdict)} it."
        )
    if verdict["answer"] == YES:
        both = "both the bag of words and training from random weights" if verdict["reference"] == "both" else best
        return (
            f"{task['name']}: yes, {_when(verdict, run)}. From there on {route} stays above {both}; {where} it is "
            f"{_lead(verdict)} {best}."
        )
    return (
        f"{task['name']}: this run of {end} tokens cannot tell: {where} {route} is {_lead(verdict)} {best}, within the "
        "noise of the test texts."
    )


def _best_without(task: TaskEntry) -> str:
    """The best that needs no pretraining."""
    references = task["references"]
    name = max(references, key=lambda route: references[route]["f1"])
    return f"{REFERENCES[name]} ({references[name]['f1']:.3f})"


def _lead(crossing: Crossing) -> str:
    """How far ahead or behind, always said as a positive number; an interval that reaches over 0 has a negative end."""
    sign, side = (1, "ahead of") if crossing["lead"] > 0 else (-1, "behind")
    low, high = sorted((sign * crossing["lead_low"], sign * crossing["lead_high"]))
    return f"{abs(crossing['lead']):.3f} weighted F1 (95 %: {low:.3f} to {high:.3f}) {side}"


def _tokens(crossing: Crossing) -> float:
    assert crossing["tokens"] is not None, "asked of routes that cross"
    return crossing["tokens"]


def _when(crossing: Crossing, run: RunFacts) -> str:
    if crossing["state"] == START:
        return f"already at the first checkpoint ({amount(_tokens(crossing))} tokens)"
    flops = f"{_tokens(crossing) * run['flops_per_token']:.1e} FLOPs"
    return f"after about {amount(_tokens(crossing))} tokens ({flops}; {_interval(crossing)})"


def _interval(crossing: Crossing) -> str:
    """Of a crossing's tokens; an open end is said in words."""
    if crossing["low"] is None:
        return "95 %: not within this run"
    high = "beyond this run" if crossing["high"] is None else amount(crossing["high"])
    return f"95 %: {amount(crossing['low'])} to {high}"


def _crossings(task: TaskEntry, route: str) -> str:
    parts = []
    for crossing in task["crossings"]:
        if crossing["route"] != route or crossing["reference"] == "both":
            continue
        name = REFERENCES[crossing["reference"]]
        if crossing["state"] == NEVER:
            share = 1 - crossing["share_never"]
            seen = f" (in {share:.0%} of the resamples it does)" if crossing["share_never"] < 0.995 else ""
            parts.append(f"never stays above {name} within this run{seen}")
        elif crossing["state"] == START:
            parts.append(f"is above {name} from the first checkpoint on, {amount(_tokens(crossing))} tokens")
        else:
            parts.append(f"passes {name} at {amount(_tokens(crossing))} tokens ({_interval(crossing)})")
    sentence = f"{ROUTES[route]} {', and '.join(parts)}."
    return sentence[:1].upper() + sentence[1:]


def _gain(gain: Gain) -> str:
    start = "random weights" if gain["from_tokens"] == 0 else f"{amount(gain['from_tokens'])} tokens"
    noise = "; within the noise of the test texts" if gain["low"] <= 0 <= gain["high"] else ""
    end = amount(gain["to_tokens"])
    return (
        f"{ROUTES[gain['route']]} by {gain['gain']:+.3f} weighted F1 from {start} to {end} tokens "
        f"(95 %: {gain['low']:+.3f} to {gain['high']:+.3f}{noise})"
    )


def _extrapolated(task: TaskEntry, run: RunFacts) -> list[str]:
    """Where a fit would meet the bag of words beyond the run; said as what it is."""
    sentences = []
    for fit in task["fits"]:
        crossing = fit["crossings"].get("bow")
        never = any(
            row["route"] == fit["route"] and row["reference"] == "bow" and row["state"] == NEVER
            for row in task["crossings"]
        )
        if not (crossing and never and crossing["beyond"]):
            continue
        if crossing["flops"] is None:
            sentences.append(
                f"The fitted curve of {ROUTES[fit['route']]} does not reach the bag of words within a thousand times "
                "the FLOPs of this run (extrapolation)."
            )
            continue
        tokens = amount(crossing["flops"] / run["flops_per_token"])
        ends = (crossing["low"], crossing["high"])
        low, high = ("not at all" if end is None else f"{end:.1e}" for end in ends)
        sentences.append(
            f"If the fitted curve went on, {ROUTES[fit['route']]} would reach the bag of words at {tokens} tokens, "
            f"{crossing['flops']:.1e} FLOPs (95 %: {low} to {high}); this is an extrapolation beyond the run."
        )
    return sentences


def _price(task: TaskEntry, run: RunFacts) -> list[str]:
    flops = (task.get("costs") or {}).get("lora")
    if not flops or not run["flops"]:
        return []
    times = run["flops"] / flops
    many = f"{times:,.0f} times" if times >= 2 else f"{times:.2g} times"
    return [f"The whole pretraining took {run['flops']:.1e} FLOPs, {many} one LoRA run on this task ({flops:.1e})."]


def overall(tasks: Sequence[TaskEntry], run: RunFacts) -> list[str]:
    """The first sentence of a trace of several tasks, then the answer for each."""
    answers = [task["sentences"][0] for task in tasks]
    if len(tasks) == 1:
        return answers
    named = {kind: [t["name"] for t in tasks if t["verdict"]["answer"] == kind] for kind in (YES, NO, UNCLEAR, WITHOUT)}
    others = {NO: "They were not on", UNCLEAR: "This cannot be told on", WITHOUT: "Random weights did as well on"}
    first = (
        f"{amount(run['tokens'])} tokens of next-token pretraining were worth their cost on {len(named[YES])} of "
        f"{len(tasks)} tasks{': ' if named[YES] else ''}{', '.join(named[YES])}."
    )
    first = " ".join([first, *(f"{words} {', '.join(named[kind])}." for kind, words in others.items() if named[kind])])
    return [first, *answers]
