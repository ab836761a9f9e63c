"""Does a route know what it does not know?  Certified risk, label sets, and perturbation ensembles beside temperature.

    python bench/abstention.py --data TASKS --models SMOLLM2 --tuned TINYSTORIES [--work out/suggest]

Routes of four tasks: a bag of words, logistic probes on the features of bench/suggest.py, and on two of them all
weights of a small decoder tuned by `adapt`.  Up to 2,000 training texts; the 1,000 test texts are halved again and
again, one half to hold out and one that is fresh.

PEP (Mehrtash et al. 2020, arXiv:2010.12721): probabilities are means over SAMPLES copies of the route whose weights
have noise of one size added, the size of greatest likelihood on the held-out half.  Of a probe the weights of
standardised features get it, of a tuned decoder all weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pages import write_page
from suggest import LENGTH, TASKS, TEST, TRAIN, features
from tokenworth.adaptation import adapt, load_classifier
from tokenworth.adaptation.routes.tuned_predictor import TunedPredictor
from tokenworth.base.aliases import Floats, Ints
from tokenworth.probes import fit_bag_of_words, logistic_probe
from tokenworth.probes.logistic import Features, standardised
from tokenworth.probes.probability_metrics import fit_temperature, log_losses, metric_value, softmax
from tokenworth.probes.selective_prediction import certified_threshold, label_sets, risk_coverage, set_threshold
from tokenworth.tasks import Task, load_task
from which_scores import ENCODER, encoder_folder

SIZES = (0.0, 0.003, 0.01, 0.03, 0.1, 0.2, 0.4)
TUNED, STEPS = ("sst2", "emotion"), 2000
"""Tasks of the tuned decoder, as a size of noise costs a pass for each of its copies; the rule ends it early, and STEPS
make it surer than it may be."""
SAMPLES, HALVINGS, SHARE, CERTAINTY = 10, 200, 0.9, 0.95
RISKS = (0.05, 0.1)
COMMAND = "python bench/abstention.py --data ../shared/data/tasks --models SMOLLM2-135M --tuned TINYSTORIES-656K"


class Route(NamedTuple):
    """What a route says of the test texts."""

    true_N: Ints
    scores_NC: Floats
    perturbed_SKNC: Floats | None = None
    """By size of the noise and copy; the first size is none."""


def main() -> None:
    """Every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--tuned", type=Path)
    parser.add_argument("--work", type=Path, default=Path("out/suggest"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/abstention.md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[str]] = {"risk": [], "sets": [], "noise": []}
    for task in TASKS:
        for name, route in routes(task, options):
            head = f"| {task} | {name} |"
            rows["risk"].append(f"{head} {within_risk(route)} |")
            rows["sets"].append(f"{head} {sets(route)} |")
            rows["noise"] += [f"{head} {row} |" for row in calibrated(route)]
            print(*(row for name in rows for row in rows[name][-1:]), sep="\n", flush=True)
    write_page(options.out, list(page(rows)))


def routes(name: str, options: argparse.Namespace) -> Iterator[tuple[str, Route]]:
    """The routes of a task by name."""
    loaded = load_task(name, data=options.data)
    task = replace(loaded, train=loaded.sample(TRAIN).train, test=loaded.sample(TEST).test)
    true_N = task.test.labels
    words = fit_bag_of_words(task.train.texts, task.train.labels, task.n_classes)
    yield "bag of words", Route(true_N, words.scores(task.test.texts))
    models = {ENCODER: encoder_folder(), **{Path(model).name: model for model in options.models}}
    for model, place in models.items():
        train_ND, test_MD, train_N, test_M = features(name, place, model, options)
        yield f"probe, {model}", probe(train_ND, test_MD, train_N, test_M)
    if options.tuned and name in TUNED:
        yield f"full, {options.tuned.name}", tuned(task, options)
        yield f"full to {STEPS:,} steps, {options.tuned.name}", tuned(task, options, {"steps": STEPS}, f"--{STEPS}")


def probe(train_ND: Features, test_MD: Features, train_N: Ints, test_M: Ints) -> Route:
    """A logistic probe, and the same with noise on its weights."""
    fitted = logistic_probe(train_ND, train_N, test_MD[:0]).linear
    _, _, scale_D = standardised(train_ND)
    scores_NC, rng = fitted.scores(test_MD), np.random.default_rng(0)
    unit_ND = (test_MD - train_ND.mean(0)) / scale_D
    noise = rng.normal(size=(SAMPLES, *fitted.weights_DC.shape))
    moved_KNC = np.stack([unit_ND @ one_DC for one_DC in noise])
    return Route(test_M, scores_NC, np.stack([scores_NC + size * moved_KNC for size in SIZES]))


def tuned(task: Task, options: argparse.Namespace, more: dict[str, int] | None = None, mark: str = "") -> Route:
    """All weights of a decoder, tuned by the rule or by settings, and the same with noise on all of them."""
    kept = options.work / f"{task.name}--{options.tuned.name}{mark}--perturbed.npy"
    if not kept.is_file():
        out = options.work / f"{task.name}--{options.tuned.name}{mark}"
        config = {"max_length": LENGTH, "mislabelled": False, **(more or {})}
        adapt(str(options.tuned), task, "full", config=config, out=out)
        predictor = load_classifier(out).predictor
        assert isinstance(predictor, TunedPredictor), "the route full ends in one"
        np.save(kept, perturbed(predictor, task.test.texts))
    scores_SKNC = np.load(kept)
    return Route(task.test.labels, scores_SKNC[0, 0], scores_SKNC)


def perturbed(predictor: TunedPredictor, texts: list[str]) -> Floats:
    """Scores by size of the noise and copy."""
    weights = [parameter.data for parameter in predictor.classifier.parameters()]
    before = [parameter.clone() for parameter in weights]
    plain_NC = predictor.scores(texts)
    scores = [np.stack([plain_NC] * SAMPLES)]
    for size in SIZES[1:]:
        copies = []
        for seed in range(SAMPLES):
            generator = torch.Generator().manual_seed(seed)
            for parameter, old in zip(weights, before, strict=True):
                parameter.copy_(old + size * torch.randn(old.shape, generator=generator))
            copies.append(predictor.scores(texts))
        scores.append(np.stack(copies))
    return np.stack(scores)


def halvings(n: int) -> Iterator[tuple[Ints, Ints]]:
    """Held-out and fresh halves."""
    for seed in range(HALVINGS):
        order = np.random.default_rng(seed).permutation(n)
        yield order[: n // 2], order[n // 2 :]


def within_risk(route: Route) -> str:
    """For each risk: how often it is certified, what is answered, how wrong; and the same of a threshold on hope."""
    probability_NC = softmax(route.scores_NC)
    confidence_N, right_N = probability_NC.max(1), probability_NC.argmax(1) == route.true_N
    cells = [f"{100 * (1 - right_N.mean()):.1f}"]
    for risk in RISKS:
        certified, hoped = [], []
        for held, fresh in halvings(len(right_N)):
            found = certified_threshold(confidence_N[held], right_N[held], risk, CERTAINTY)
            if found is not None:
                certified.append(of_fresh(confidence_N[fresh] > found.confidence, right_N[fresh]))
            least = hopeful(confidence_N[held], right_N[held], risk)
            hoped.append(of_fresh(confidence_N[fresh] >= least, right_N[fresh]))
        cells.append(f"{100 * len(certified) / HALVINGS:.0f}")
        for kind in (certified, hoped):
            answered = np.array(kind).reshape(-1, 2)
            above = f"{100 * (answered[:, 1] > risk).mean():.0f}" if len(answered) else "-"
            means = [f"{100 * value:.1f}" for value in answered.mean(0)] if len(answered) else ["-", "-"]
            cells += [*means, above]
    return " | ".join(cells)


def of_fresh(answered_N: np.ndarray, right_N: np.ndarray) -> tuple[float, float]:
    """Share answered, and error among them."""
    return float(answered_N.mean()), float(1 - right_N[answered_N].mean()) if answered_N.any() else 0.0


def hopeful(confidence_N: Floats, right_N: np.ndarray, risk: float) -> float:
    """The threshold that answers most with no more than that error on the held-out half, without a bound."""
    shares, errors = risk_coverage(confidence_N, right_N)
    fit = np.flatnonzero(errors <= risk)
    if not len(fit):
        return np.inf
    return float(np.sort(confidence_N)[::-1][round(shares[fit[-1]] * len(confidence_N)) - 1])


def sets(route: Route) -> str:
    """How often sets hold the true class, how large they are, and how many are of one class."""
    probability_NC, cells = softmax(route.scores_NC), []
    for held, fresh in halvings(len(route.true_N)):
        least = set_threshold(probability_NC[held, route.true_N[held]], SHARE)
        assert least is not None, "500 texts are enough"
        inside = label_sets(probability_NC[fresh], least)
        size_M = inside.sum(1)
        cells.append((inside[np.arange(len(fresh)), route.true_N[fresh]].mean(), size_M.mean(), (size_M == 1).mean()))
    held_share, size, single = np.mean(cells, axis=0)
    return f"{route.scores_NC.shape[1]} | {100 * held_share:.1f} | {size:.2f} | {100 * single:.0f}"


def calibrated(route: Route) -> Iterator[str]:
    """Log-loss, calibration error and accuracy on fresh halves: plain, by temperature, by noise, by both."""
    if route.perturbed_SKNC is None:
        return
    mean_SNC = softmax_of_copies(route.perturbed_SKNC)
    found: dict[str, list[tuple[float, ...]]] = {
        name: [] for name in ("plain", "temperature", "PEP", "PEP, temperature")
    }
    for held, fresh in list(halvings(len(route.true_N)))[:50]:
        true = route.true_N
        size = int(np.argmin([log_losses(true[held], mean_NC[held]).mean() for mean_NC in mean_SNC]))
        logs = {"plain": np.log(mean_SNC[0]), "PEP": np.log(mean_SNC[size])}
        for name, log_NC in list(logs.items()):
            warm = "temperature" if name == "plain" else "PEP, temperature"
            logs[warm] = log_NC / fit_temperature(true[held], log_NC[held])
        for name, log_NC in logs.items():
            probability = softmax(log_NC[fresh])
            figures = (metric_value(metric, true[fresh], probability) for metric in ("log_loss", "ece", "accuracy"))
            found[name].append((*figures, SIZES[size]))
    for name, rows in found.items():
        loss, error, accuracy, noise = np.mean(rows, axis=0)
        shown = f"{noise:.3f}" if name.startswith("PEP") else ""
        yield f"{name} | {loss:.3f} | {100 * error:.1f} | {100 * accuracy:.1f} | {shown}"


def softmax_of_copies(scores_SKNC: Floats) -> Floats:
    """Probabilities (S, N, C), means over copies, floored for their logarithms."""
    means = [np.mean([softmax(each) for each in copies], axis=0) for copies in scores_SKNC]
    return np.asarray(np.maximum(np.stack(means), 1e-12))


def page(rows: dict[str, list[str]]) -> Iterator[str]:
    """The tables."""
    yield "# Does a route know what it does not know?\n"
    yield f"    {COMMAND}\n"
    yield (
        f"Up to {TRAIN:,} training and {TEST:,} test texts, cut at {LENGTH} tokens.  The test texts are halved"
        f" {HALVINGS} times: bounds come from one half, figures from the other.  All in percent but sizes.\n"
    )
    yield "## Answers within a risk\n"
    yield (
        f"*certified*: halvings in which a threshold was certified at {CERTAINTY:g} (`predict --risk`); then, of the"
        " fresh half, texts answered, wrong ones among them, and halvings in which these are more than the risk. "
        " *hope*: the threshold of most answers with that error on the held-out half, without a bound.  A fresh half"
        " has an error of its own, so that it is above the risk more often than the error of all texts to come.\n"
    )
    kinds = [f"{risk:g}: {word}" for risk in RISKS for word in (
        "certified", "answered", "wrong", "above", "hope: answered", "wrong", "above"
    )]  # fmt: skip
    yield f"| task | route | wrong of all | {' | '.join(kinds)} |"
    yield f"|---|---|--:|{'--:|' * len(kinds)}"
    yield from rows["risk"]
    yield f"\n## Sets of classes (`predict --sets {SHARE:g}`)\n"
    yield "| task | route | classes | hold the true class | classes a set | of one class |"
    yield f"|---|---|{'--:|' * 4}"
    yield from rows["sets"]
    yield "\n## Temperature, and ensembles of perturbations\n"
    yield f"Means over 50 halvings; PEP of {SAMPLES} copies, its noise fitted to the held-out half.\n"
    yield "| task | route | probabilities | log-loss | calibration error | accuracy | noise |"
    yield f"|---|---|---|{'--:|' * 4}"
    yield from rows["noise"]


if __name__ == "__main__":
    main()
