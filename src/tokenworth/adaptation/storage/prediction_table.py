"""New texts from a file, and their predictions."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tokenworth.adaptation.evaluation.abstention import Rules
from tokenworth.adaptation.evaluation.explanation import explain, with_features
from tokenworth.adaptation.evaluation.label_set_evaluation import least_sure
from tokenworth.adaptation.storage.adapt_result import NO_CLASS_NAME
from tokenworth.adaptation.storage.saved_classifier import Classifier
from tokenworth.base.atomic_files import in_words, replacing, writable
from tokenworth.errors import SettingError
from tokenworth.probes.probability_metrics import evened, predicted_classes
from tokenworth.tasks import load_texts
from tokenworth.tasks.task import label_lists

LABEL_DELIMITER = "; "
"""Between several labels of a text in a .csv or .tsv; .jsonl and .parquet hold lists."""
_log = logging.getLogger("tokenworth")
_EXPLAINED = ("why", "nearest")
NESTED = ("set", *_EXPLAINED)
"""Columns that hold a list, as JSON: of classes, or of training texts."""
_FORMULA = tuple("=+-@\t\r")
"""What a formula begins with; an empty cell begins with nothing."""


def predicted_table(
    classifier: Classifier,
    path: Path,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    why: int = 0,
    place: str = "",
    rules: Rules | None = None,
) -> pd.DataFrame:
    """The rows of a file with `predicted` and `confidence`, and p_CLASS for up to 20 classes.

    Of several labels a text `predicted` holds lists, and confidence is that of the label it is least sure of.
    With ``why`` also the columns `why` and `nearest`: so many training texts of each, as JSON (`NamedText`).
    ``place`` is where the classifier lies, for sentences.  With ``rules`` also the columns `answered` and `set` (as
    JSON), where they say so.

    Raises:
        TaskError: the file cannot be read, or has no text column.
        AdaptError: ``why`` is asked of what is no probe, or has no training texts with it.
    """
    texts = load_texts(path, text=text, text_pair=text_pair)
    if why:
        classifier = with_features(classifier, texts, place)
    told_NC = classifier.predicted_probabilities(texts)
    names, probability_NC = classifier.label_names, evened(told_NC)
    if classifier.thresholds is not None:
        thresholds_C = np.array(classifier.thresholds)
        held = label_lists(told_NC >= thresholds_C, names)
        table = pd.DataFrame({"text": texts, "predicted": held, "confidence": least_sure(told_NC, thresholds_C)})
    else:
        predicted = [(*names, NO_CLASS_NAME)[place] for place in predicted_classes(told_NC)]
        table = pd.DataFrame({"text": texts, "predicted": predicted, "confidence": probability_NC.max(1)})
    if len(names) <= 20:
        table = table.assign(**{f"p_{name}": probability_NC[:, i] for i, name in enumerate(names)})
    if rules is not None:
        table = rules.apply(table, probability_NC, names)
    return table.assign(**_explained(classifier, texts, why)) if why else table


def _explained(classifier: Classifier, texts: list[str], why: int) -> dict[str, list[str]]:
    found = explain(classifier, texts, why)
    if found.agreement < 1:
        _log.info(
            "why: influences are those of the ridge read-out of the same features, which predicts the same class for "
            "%.1f %% of these texts",
            100 * found.agreement,
        )
    return {name: [json.dumps(getattr(each, name), ensure_ascii=False) for each in found.of] for name in _EXPLAINED}


def nested(table: pd.DataFrame) -> pd.DataFrame:
    """The table with lists where it has them as JSON, for formats that hold lists."""
    return table.assign(**{name: [json.loads(cell) for cell in table[name]] for name in NESTED if name in table})


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """As .csv, .tsv (both `spreadsheet_safe`), .jsonl or .parquet, under a temporary name first.

    Raises:
        SettingError: another ending.
        TokenworthError: the file cannot be written.
    """
    table = writable(table)
    writers: dict[str, Callable[[Path], object]] = {
        ".csv": lambda part: spreadsheet_safe(table).to_csv(part, index=False),
        ".tsv": lambda part: spreadsheet_safe(table).to_csv(part, index=False, sep="\t"),
        ".jsonl": lambda part: nested(table).to_json(part, orient="records", lines=True, force_ascii=False),
        ".parquet": lambda part: table.to_parquet(part, index=False),
    }
    if path.suffix not in writers:
        raise SettingError(f"predictions are written as {', '.join(writers)}, not {path.name}")
    with replacing(path) as part:
        writers[path.suffix](part)


def spreadsheet_safe(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose words no spreadsheet takes for formulas: the usual apostrophe stands before those it would.

    That is text that begins with = + - @, a tab or a carriage return and is no number; heads of columns too.  Only for
    .csv and .tsv: the other formats keep what was there.  Source: OWASP, CSV injection.
    """
    return in_words(table, _as_text)


def _as_text(value: Any) -> Any:
    value = LABEL_DELIMITER.join(value) if isinstance(value, list) else value
    return f"'{value}" if isinstance(value, str) and value[:1] in _FORMULA and not _is_number(value) else value


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
