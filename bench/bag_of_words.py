"""How strong is the bag of words, by recipe, on the published tasks?

    python bench/bag_of_words.py --data ../shared/data/tasks --out docs/results

One row a task: weighted F1 on the test texts of the plain recipe (words of two letters and more, alone and in pairs;
TF-IDF, logistic regression), of each recipe of the package, and of the one that cross-fitting chooses; seconds of the
processor.  --ship writes what is chosen into the cells that the package ships.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

import tokenworth as tw
from tokenworth.assessment.probe_table import bow_row
from tokenworth.probes import fit_bag_of_words
from tokenworth.probes.bag_of_words import RECIPES
from tokenworth.tasks import Task

MOST_TEXTS, SEED = 10_000, 0  # as the shipped study
CELLS = Path("out/bag_of_words.json")  # finished tasks are not measured again
SHIPPED = Path("src/tokenworth/decision/cells.csv")
FIGURES = {"bow_f1": "f1", "bow_accuracy": "accuracy", "bow_macro_f1": "macro_f1"}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--out", type=Path, default=Path("docs/results"))
    options.add_argument("--tasks", nargs="*")
    options.add_argument("--ship", action="store_true")
    given = options.parse_args()
    names = given.tasks or sorted(folder.name for folder in given.data.iterdir() if folder.is_dir())
    rows = json.loads(CELLS.read_text()) if CELLS.is_file() else {}
    for name in names:
        if name not in rows:
            rows[name] = measured(tw.load_task(given.data / name, max_texts=MOST_TEXTS, seed=SEED))
            print(name, rows[name], flush=True)
            CELLS.parent.mkdir(parents=True, exist_ok=True)
            CELLS.write_text(json.dumps(rows))
    table = pd.DataFrame.from_dict(rows, orient="index")
    (given.out / "bag_of_words.md").write_text(page(table), encoding="utf-8")
    if given.ship:
        ship(table)


def measured(task: Task) -> dict[str, Any]:
    row: dict[str, Any] = {"plain": scored(task, plain(task))}
    for recipe in RECIPES:
        model = fit_bag_of_words(task.train.texts, task.train.labels, task.n_classes, recipe=recipe)
        row[recipe] = scored(task, model.scores(task.test.texts).argmax(1))
    begun = process_time()
    chosen = bow_row(task)
    row |= {"chosen": chosen["f1"], "recipe": chosen["name"].partition("(")[2].rstrip(")")}
    row |= {
        "seconds": process_time() - begun,
        "n_characters": sum(map(len, task.train.texts)),
        "classes": task.n_classes,
    }
    figures = dict(chosen)
    return row | {name: figures[figure] for name, figure in FIGURES.items() if figure in figures}


def plain(task: Task) -> np.ndarray:
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2, max_features=50_000)
    model = LogisticRegression(C=10, max_iter=1000).fit(vectorizer.fit_transform(task.train.texts), task.train.labels)
    return np.asarray(model.predict(vectorizer.transform(task.test.texts)))


def scored(task: Task, predicted: np.ndarray) -> float:
    return float(f1_score(task.test.labels, predicted, average="weighted"))


def ship(table: pd.DataFrame) -> None:
    cells = pd.read_csv(SHIPPED)
    for name in FIGURES:
        cells[name] = cells["task"].map(table[name]).fillna(cells[name]).round(6)
    cells.to_csv(SHIPPED, index=False)


def page(table: pd.DataFrame) -> str:
    kinds = ["plain", *RECIPES, "chosen"]
    lines = [f"| {' | '.join(head)} |" for head in (["task", *kinds, "recipe chosen", "s"], ["---"] * (len(kinds) + 3))]
    for name, row in table.iterrows():
        figures = " | ".join(f"{100 * row[kind]:.1f}" for kind in kinds)
        lines.append(f"| {name} | {figures} | {row['recipe']} | {row['seconds']:.1f} |")
    means = " | ".join(f"{100 * table[kind].mean():.2f}" for kind in kinds)
    gain = 100 * (table["chosen"] - table["plain"])
    return PAGE.format(
        table="\n".join([*lines, f"| mean | {means} | | {table['seconds'].mean():.1f} |"]),
        tasks=len(table), gain=gain.mean(), better=(gain > 0.05).sum(), worse=(gain < -0.05).sum(), least=gain.min(),
        most=gain.max(), rate=1e6 * (table["seconds"] / table["n_characters"]).median(),
    )  # fmt: skip


PAGE = """# How strong is the bag of words?

Made by `python bench/bag_of_words.py --data ../shared/data/tasks`: weighted F1 in percent on the test texts, {tasks}
tasks, at most 10,000 training texts each, one seed.

- **plain**: word 1-2-grams of two letters and more, TF-IDF, one logistic regression; the package's until now.
- **words** (1-2-grams, one-letter words and signs too), **words and characters**, **characters** (2-5-grams): a
  logistic regression a class, every term scaled by naive Bayes (Wang and Manning 2012), or **unscaled**.
- **chosen**: the one of these four that cross-fitting on training texts takes; what the package reports.

{table}

Chosen against plain: {gain:+.2f} points in the mean ({least:+.1f} to {most:+.1f}), better in {better} tasks and
worse in {worse}.
Seconds are of one processor core, choosing and predicting included; {rate:.1f} microseconds a character in the median.
"""


if __name__ == "__main__":
    main()
