"""New texts from a file, and their predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

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
_FORMULA = tuple("=+-@\t\r")
"""What a formula begins with; an empty cell begins with nothing."""


def predicted_table(
    classifier: Classifier, path: Path, *, text: str | None = None, text_pair: str | None = None
) -> pd.DataFrame:
    """The rows of a file with `predicted` and `confidence`, and p_CLASS for up to 20 classes.

    Of several labels a text `predicted` holds lists, and confidence is that of the label it is least sure of.

    Raises TaskError: the file cannot be read, or has no text column.
    """
    texts = load_texts(path, text=text, text_pair=text_pair)
    told_NC = classifier.predicted_probabilities(texts)
    names, probability_NC = classifier.label_names, evened(told_NC)
    if classifier.thresholds is not None:
        thresholds_C = np.array(classifier.thresholds)
        held = label_lists(told_NC >= thresholds_C, names)
        table = pd.DataFrame({"text": texts, "predicted": held, "confidence": least_sure(told_NC, thresholds_C)})
    else:
        predicted = [(*names, NO_CLASS_NAME)[place] for place in predicted_classes(told_NC)]
        table = pd.DataFrame({"text": texts, "predicted": predicted, "confidence": probability_NC.max(1)})
    if len(names) > 20:
        return table
    return table.assign(**{f"p_{name}": probability_NC[:, i] for i, name in enumerate(names)})


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
        ".jsonl": lambda part: table.to_json(part, orient="records", lines=True, force_ascii=False),
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
