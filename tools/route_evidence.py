"""What the flow chart "which route for me" says at each leaf, with the figure that a table of docs/results gives it.

A leaf is a function below that reads a table and returns a `Leaf`; it stands in `QUESTIONS` under the answer that leads
to it.  `holds` is the claim itself: where a new table no longer bears it, the site is not built.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from result_tables import bold, numbers, table


@dataclass(frozen=True)
class Leaf:
    """What to do, and what was measured."""

    do: str
    evidence: str
    """The figure, with its setting."""
    page: str
    """Where it stands: a page of docs/results."""
    holds: bool = True
    """Whether the figures bear what is advised."""


@dataclass(frozen=True)
class Question:
    """A question of the chart: answers that end in leaves, and the one that leads on (none at the last)."""

    asks: str
    ends: dict[str, tuple[Callable[[], Leaf], ...]]
    on: str = ""


def f1(value: float) -> str:
    """As the pages write it: .857."""
    return f"{value:.3f}".lstrip("0")


def other_language() -> Leaf:
    """No task of these pages is in another language."""
    tasks = len(table("bag_of_words")) - 1  # its last row is the mean
    return Leaf(
        "Measure on your own texts: rank a model that has read your language, beside a bag of words.",
        f"All {tasks} real tasks of these pages are English: nothing is known here of other languages.",
        "index",
    )


def prompt() -> Leaf:
    """A chat model without an example, beside a bag of words that had a thousand."""
    rows = table("prompting").set_index(["form", "examples", "calibration"])
    tasks = [name for name in rows.columns if name.endswith("F1")]
    asked = numbers(rows.loc[("plain", "none", "none"), tasks])
    words = numbers(rows.loc[("bag of words", "", ""), tasks])
    ahead = [name.removesuffix(" F1") for name in tasks if asked[name] > words[name]]
    return Leaf(
        "Ask a chat model in plain words, and label 150 texts to know how well it does.",
        f"SmolLM2-135M, no example: F1 {f1(asked.mean())} in the mean of {len(tasks)} tasks, a bag of words taught by "
        f"1,000 labels {f1(words.mean())}; ahead on {' and '.join(ahead)} alone. No larger one was measured.",
        "prompting",
        holds=0 < len(ahead) < len(tasks),
    )


def server() -> Leaf:
    """What answers of a served model cost."""
    priced = [numbers(table("endpoints", f"Examples: {kind}")["a million"]).dropna() for kind in ("none", "8 balanced")]
    without, eight = [f"{prices.min():.0f} to {prices.max():.0f}" for prices in priced]
    return Leaf(
        "The model runs on a server only: ask it there, and leave examples out where you can.",
        f"A million short texts cost {without} without examples and {eight} with eight, at made-up prices of .1 and .4 "
        "a million tokens.",
        "endpoints",
        holds=priced[1].median() > 2 * priced[0].median(),
    )


def choose_labels() -> Leaf:
    """Texts chosen to be labelled, against random ones."""
    rows = table("suggest", "Few labels").set_index("task")
    gains = numbers(rows["spread"])
    many = gains["banking77"]
    return Leaf(
        "Label more before you train, and let a probe choose which (suggest).",
        f"40 to 385 labels, chosen by spread: {gains['mean']:+.1f} points of F1 over random ones in the mean of eight "
        f"settings, {gains['least']:+.1f} at least, {many.min():+.1f} and {many.max():+.1f} with 77 classes.",
        "suggest",
        holds=gains["least"] > 0,
    )


def few_labels() -> Leaf:
    """An encoder trained by pairs, beside a frozen one and a bag of words."""
    rows = table("few_labels", "Means over the tasks").set_index("texts a class")
    means = {(route, n): numbers(rows[route])[n] for route in ("bow", "probe", "contrastive") for n in ("8", "64")}
    shown = [" and ".join(f1(means[route, n]) for n in ("8", "64")) for route in ("contrastive", "probe", "bow")]
    against = table("few_labels", "Routes against each other").set_index(["first", "second", "texts a class"])
    ahead = [against["ahead"]["contrastive", "probe", n] for n in ("8", "64")]
    return Leaf(
        "Train an encoder by pairs of what you have (contrastive), and compare it with its probe.",
        f"8 and 64 labels a class, all-MiniLM-L6-v2, mean of {rows['runs']['8']} runs on six tasks: {shown[0]}; the "
        f"same model frozen {shown[1]} (behind in {' and '.join(ahead)}), a bag of words {shown[2]}.",
        "few_labels",
        holds=all(means["contrastive", n] > max(means["probe", n], means["bow", n]) for n in ("8", "64")),
    )


def pairs() -> Leaf:
    """The two tasks whose texts are pairs and which anything reads."""
    rows = table("which_scores", "6. The cells").set_index("task")
    words, model = numbers(rows["bag of words"]), numbers(rows["gemma3-270m"])
    names = ("snli", "medical_question_pairs")
    shown = ", ".join(f"{f1(model[name])} against {f1(words[name])} ({name})" for name in names)
    return Leaf(
        "Read a pretrained model: which words stand in a pair says little about how they relate.",
        f"700 labels, frozen Gemma-3-270M against a bag of words: {shown}. On commonsense_qa neither reads much "
        f"({f1(model['commonsense_qa'])}, {f1(words['commonsense_qa'])}).",
        "which_scores",
        holds=all(model[name] > words[name] + 0.1 for name in names),
    )


def probe() -> Leaf:
    """A frozen model of real size, beside a bag of words."""
    rows = table("which_scores", "6. The cells").set_index("task")
    words, model = numbers(rows["bag of words"]), numbers(rows["gemma3-270m"])
    tasks = rows.index.drop("mean")
    ahead = int((model[tasks] > words[tasks]).sum())
    behind = [name for name in tasks if model[name] <= words[name]]
    return Leaf(
        "Probe a pretrained model of some hundred million parameters, beside a bag of words.",
        f"700 labels: a frozen Gemma-3-270M is ahead on {ahead} of {len(tasks)} tasks, {f1(model['mean'])} to "
        f"{f1(words['mean'])} in the mean; behind on {', '.join(behind)}.",
        "which_scores",
        holds=ahead > len(tasks) / 2,
    )


def words() -> Leaf:
    """The bag of words beside all routes of small decoders."""
    rows = table("decision", "What the routes reached")
    rows = rows[rows["backbone"].isin(["tinystories-656k", "wikinovels-14m"])]
    best = int(bold(rows["bow"]).sum())
    seconds = numbers(table("bag_of_words")["s"]).iloc[-1]
    return Leaf(
        "Take the bag of words, and ask what beats it before you pay.",
        f"Up to 10,000 labels: best, or within half a point, in {best} of {len(rows)} rows of 17 tasks and two small "
        f"decoders (.66 and 13.8 million parameters), in {seconds:.0f} s on average. No larger one was run on so many.",
        "decision",
        holds=best > len(rows) / 2,
    )


def advice() -> Leaf:
    """What following `decide` gives away."""
    rows = table("decision", "Following the advice")
    rows = rows[rows["predictor"] == rows["predictor"].iloc[0]].set_index("rule")
    lost, spent = numbers(rows["regret"]), numbers(rows["spent"])
    models = len(table("decision", "The advice by backbone"))
    return Leaf(
        "Let decide predict each route within your budget, run the one it names, and keep the better.",
        f"{models} models, new tasks and models: so {lost['the advice']:.1f} points of F1 are lost against the best in "
        f"hindsight, for {spent['the advice']:.0f} % of the FLOPs of running everything; with the better of a bag of "
        f"words and a probe {lost['bow or probe']:.1f}; with LoRA always run {lost['always lora']:.1f}, for "
        f"{spent['always lora']:.0f} %.",
        "decision",
        holds=lost["the advice"] < lost["bow or probe"] and spent["the advice"] < spent["always lora"],
    )


def train_small() -> Leaf:
    """Full fine-tuning beside LoRA, of a small decoder."""
    rows = table("routes", "wikinovels-14m")
    lora, full = numbers(rows["lora"]), numbers(rows["full"])
    ahead = int((full > lora).sum())
    emotion = rows.index[rows["task"] == "emotion"][0]
    return Leaf(
        "A small model: train all of it.",
        f"13.8 million parameters: ahead of LoRA on {ahead} of {len(rows)} tasks, on emotion {f1(full[emotion])} to "
        f"{f1(lora[emotion])}.",
        "routes",
        holds=ahead > len(rows) / 2,
    )


def train_large() -> Leaf:
    """LoRA beside full fine-tuning, of two real models."""
    means = {
        (model, route): _best_of_two_seeds(f"{model} (width {width}), {route}")
        for model, width in (("smollm2-135m", 576), ("gemma3-270m", 640))
        for route in ("lora", "full")
    }
    shown = [f"{f1(means[model, 'lora'])} and {f1(means[model, 'full'])}" for model in ("smollm2-135m", "gemma3-270m")]
    return Leaf(
        "A model of 100 million parameters or more: LoRA at the rate that adapt chooses.",
        f"200 labels, 40 steps, mean of three tasks, each at its best rate: LoRA and all weights {shown[0]} "
        f"(SmolLM2-135M), {shown[1]} (Gemma-3-270M): level, and only for LoRA does one rate suit both.",
        "settings",
        holds=all(means[model, "lora"] > means[model, "full"] - 0.02 for model in ("smollm2-135m", "gemma3-270m")),
    )


def _best_of_two_seeds(heading: str) -> float:
    rows = table("settings", heading)
    return float(numbers(rows["mean"][rows["seeds"] == "0, 1"]).max())


QUESTIONS = (
    Question("Are your texts in English?", {"no": (other_language,)}, "yes"),
    Question("Have you labelled texts?", {"none": (prompt, server)}, "some"),
    Question("At least 400, or 5 a class?", {"no": (few_labels, choose_labels)}, "yes"),
    Question("Is every text a pair, such as question and answer?", {"yes": (pairs,)}, "no"),
    Question("More than about a thousand labels?", {"no": (probe,)}, "yes"),
    Question("Can you spend more than minutes of a processor?", {"no": (words,)}, "yes"),
    Question("Do you know already that training pays?", {"no": (advice,)}, "yes"),
    Question("How large is the model?", {"small": (train_small,), "large": (train_large,)}),
)
