"""Is the influence of training texts what refitting says, does a sum predict a group, and what does it find?

    python bench/influence.py --data TASKS --models SMOLLM2 [--work out/suggest]

Features are those of bench/suggest.py, kept under --work; of TEXTS training texts and, in two halves, the test texts.

1  one text left out: the closed form against a fit at the same penalty and units, and against one in which the penalty
   is chosen and the coordinates are scaled anew;
2  groups left out: the sum of single influences, the closed form of the group, and a fit in which all is chosen anew;
3  labels flipped on purpose: how many of them are among as many texts first by harm, by the residual without the text,
   and by the package's search for mislabelled texts; and what leaving those out brings on texts that did not choose.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pages import write_page
from suggest import TASKS, TRAIN, features
from tokenworth.adaptation.evaluation.mislabelled import out_of_fold
from tokenworth.base.aliases import Ints
from tokenworth.probes.metrics import weighted_f1
from tokenworth.scores import PooledMoments, Ridge, ridge
from tokenworth.scores.influence import Influence
from tokenworth.tasks import Split, load_task
from tokenworth.tasks.split import sample
from which_scores import ENCODER, encoder_folder

TEXTS, REFITS, FLIPPED, SEED = 1000, 60, 0.1, 0
GROUPS = ((10, "most harmful"), (50, "most harmful"), (100, "most harmful"), (50, "random"))
COMMAND = "python bench/influence.py --data ../shared/data/tasks --models SMOLLM2-135M"


class Setting(NamedTuple):
    """Training texts, test texts that choose, and test texts that judge."""

    train_ND: Tensor
    labels_N: Tensor
    test_MD: Tensor
    test_M: Tensor
    n_classes: int

    def fit(self, left_out: Ints | None = None) -> Ridge:
        """The package's ridge without some of the training texts, everything chosen anew."""
        kept = np.setdiff1d(np.arange(len(self.train_ND)), [] if left_out is None else left_out)
        rows_ND = self.train_ND[kept]
        moments = PooledMoments(rows_ND.shape[1], self.n_classes).update(rows_ND, self.labels_N[kept])
        return ridge(moments.with_texts(rows_ND))

    def error(self, decision_MC: Tensor, rows: slice = slice(None)) -> float:
        """Mean squared error over one-hot labels of test texts."""
        one_hot_MC = torch.nn.functional.one_hot(self.test_M, self.n_classes)
        return float((decision_MC - one_hot_MC)[rows].square().sum(1).mean())

    def refitted(self, left_out: Ints, penalty: float) -> Tensor:
        """Decisions without some texts, penalty and units those of all of them: solved from nothing."""
        kept = np.setdiff1d(np.arange(len(self.train_ND)), left_out)
        scale_D, mean_D = self.train_ND.std(0, correction=0), self.train_ND[kept].mean(0)
        one_hot_NC = torch.nn.functional.one_hot(self.labels_N[kept], self.n_classes).double()
        rows_ND, share_C = (self.train_ND[kept] - mean_D) / scale_D, one_hot_NC.mean(0)
        gram_DD = rows_ND.T @ rows_ND
        gram_DD.diagonal().add_(len(self.train_ND) * penalty)
        weights_DC = torch.linalg.solve(gram_DD, rows_ND.T @ (one_hot_NC - share_C))
        decision_MC: Tensor = (self.test_MD - mean_D) / scale_D @ weights_DC + share_C
        return decision_MC


def main() -> None:
    """Every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=[])
    parser.add_argument("--work", type=Path, default=Path("out/suggest"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/influence.md"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.work.mkdir(parents=True, exist_ok=True)
    models = {ENCODER: encoder_folder(), **{Path(model).name: model for model in options.models}}
    rows: dict[str, list[str]] = {"single": [], "groups": [], "flips": []}
    for model, place in models.items():
        for task in TASKS:
            setting, train = prepared(task, place, model, options)
            head = f"| {task} | {model} |"
            rows["single"].append(f"{head} {single(setting)} |")
            rows["groups"] += [f"{head} {row} |" for row in groups(setting)]
            rows["flips"].append(f"{head} {flips(setting, train)} |")
            print(rows["single"][-1], *rows["groups"][-len(GROUPS) :], rows["flips"][-1], sep="\n", flush=True)
    write_page(options.out, list(page(rows)))


def prepared(task: str, place: str, model: str, options: argparse.Namespace) -> tuple[Setting, Split]:
    """Features of a sample of the texts that bench/suggest.py passed."""
    train_ND, test_MD, train_N, test_M = features(task, place, model, options)
    rows = sample(train_N, TEXTS, SEED)
    n_classes = int(max(train_N.max(), test_M.max())) + 1
    arrays = (torch.from_numpy(array) for array in (train_ND[rows], train_N[rows], test_MD, test_M))
    x_ND, labels_N, asked_MD, true_M = arrays
    texts = load_task(task, data=options.data).sample(TRAIN).train.take(rows)
    return Setting(x_ND.double(), labels_N, asked_MD.double(), true_M, n_classes), texts


def influence_of(setting: Setting) -> Influence:
    """The read-out of all training texts, by its texts."""
    return Influence.of(setting.train_ND, setting.labels_N, setting.n_classes, setting.fit().penalty)


def single(setting: Setting) -> str:
    """Half of the texts left out at random, half the most harmful; all figures are shares of the error."""
    penalty, influence = setting.fit().penalty, influence_of(setting)
    whole = setting.error(influence.decision(setting.test_MD))
    harm_N = influence.on_loss(setting.test_MD, setting.test_M).numpy() / whole
    rng = np.random.default_rng(SEED)
    drawn = np.union1d(rng.permutation(len(harm_N))[: REFITS // 2], np.argsort(-harm_N)[: REFITS // 2])
    same = np.array([1 - setting.error(setting.refitted(np.array([row]), penalty)) / whole for row in drawn])
    anew = np.array(
        [1 - setting.error(setting.fit(np.array([row])).decision(setting.test_MD)) / whole for row in drawn]
    )
    relation = np.corrcoef(anew, harm_N[drawn])[0, 1]
    return (
        f"{len(harm_N)} x {setting.train_ND.shape[1]} | {penalty:.2g} | {np.abs(same - harm_N[drawn]).max():.0e} | "
        f"{relation:.3f} | {100 * np.abs(anew - harm_N[drawn]).max():.2f} | {100 * harm_N.max():.2f}"
    )


def groups(setting: Setting) -> Iterator[str]:
    """Shares of the error that go with a group, in three ways."""
    influence = influence_of(setting)
    whole = setting.error(influence.decision(setting.test_MD))
    harm_N = influence.on_loss(setting.test_MD, setting.test_M).numpy() / whole
    rng = np.random.default_rng(SEED)
    for size, kind in GROUPS:
        group = np.argsort(-harm_N)[:size] if kind == "most harmful" else rng.permutation(len(harm_N))[:size]
        together = 1 - setting.error(influence.decision_without(setting.test_MD, torch.from_numpy(group))) / whole
        anew = 1 - setting.error(setting.fit(group).decision(setting.test_MD)) / whole
        figures = (100 * value for value in (harm_N[group].sum(), together, anew))
        yield f"{size} {kind} | {' | '.join(f'{value:+.2f}' for value in figures)}"


def flips(setting: Setting, train: Split) -> str:
    """Flipped labels among the first texts of three orders, and F1 on the other half of the test texts."""
    rng, n = np.random.default_rng(SEED), len(setting.labels_N)
    flipped = rng.permutation(n)[: round(FLIPPED * n)]
    labels_N = setting.labels_N.numpy().copy()
    labels_N[flipped] = (labels_N[flipped] + rng.integers(1, setting.n_classes, len(flipped))) % setting.n_classes
    wrong = setting._replace(labels_N=torch.from_numpy(labels_N))
    influence, half = influence_of(wrong), len(setting.test_M) // 2
    own_N = np.arange(n), labels_N
    probability_NC = out_of_fold(Split(train.texts, labels_N), setting.n_classes, SEED)
    orders = {
        "harm": -influence.on_loss(setting.test_MD[:half], setting.test_M[:half]).numpy(),
        "residual": -influence.residual_NC.numpy()[own_N],
        "words": probability_NC[own_N],
    }
    first = {name: np.argsort(order_N, kind="stable")[: len(flipped)] for name, order_N in orders.items()}
    share = {name: f"{100 * np.isin(rows, flipped).mean():.0f}" for name, rows in first.items()}
    f1 = [f1_on_the_other_half(wrong, rows, half) for rows in (None, *first.values(), flipped)]
    return f"{len(flipped)} | {' | '.join(share.values())} | {' | '.join(f'{100 * value:.1f}' for value in f1)}"


def f1_on_the_other_half(setting: Setting, left_out: Ints | None, half: int) -> float:
    """Weighted F1 of a fit without some texts, on test texts that no order has seen."""
    predicted_M = setting.fit(left_out).predict(setting.test_MD[half:]).numpy()
    return weighted_f1(setting.test_M[half:].numpy(), predicted_M, setting.n_classes)


def page(rows: dict[str, list[str]]) -> Iterator[str]:
    """The tables."""
    yield "# Which training texts does a probe rest on?\n"
    yield f"    {COMMAND}\n"
    yield (
        f"Up to {TEXTS:,} training and 1,000 test texts, cut at 64 tokens, mean of normalised states at two thirds of"
        " the depth; ridge read-out, penalty by GCV.  Harm of a text: mean squared error over one-hot labels of the"
        " test texts, less what it is without the text, in percent of the error.\n"
    )
    yield "## One text left out\n"
    yield (
        f"{REFITS} texts, half of them random, half the most harmful.  *Same*: largest difference (of a share) between"
        " the closed form and a fit from nothing without the text at the same penalty and units.  *Anew*: penalty and"
        " scaling chosen without the text, too: correlation with the closed form, and the largest difference in percent"
        " of the error.\n"
    )
    yield "| task | model | texts x width | penalty | same | anew: r | anew: apart | most harmful |"
    yield f"|---|---|{'--:|' * 6}"
    yield from rows["single"]
    yield "\n## Groups left out: percent of the error that goes\n"
    yield "| task | model | texts | sum of single harms | closed form of the group | all chosen anew |"
    yield f"|---|---|---|{'--:|' * 3}"
    yield from rows["groups"]
    yield "\n## Labels flipped on purpose\n"
    yield (
        f"{100 * FLIPPED:.0f} % of the training labels.  Percent of the flipped ones among as many texts first by harm"
        " on half of the test texts, by the residual of the read-out without the text, and by the probability of the"
        " label by a bag of words (the page's *labels to look at again*); by chance"
        f" {100 * FLIPPED:.0f}.  Then weighted F1 on the other half: of all texts, and without those first by each"
        " order, and without the flipped ones.\n"
    )
    yield (
        "| task | model | flipped | by harm | by residual | by words | F1: all | less harm | less residual | less words"
        " | less flipped |"
    )
    yield f"|---|---|{'--:|' * 9}"
    yield from rows["flips"]


if __name__ == "__main__":
    main()
