"""New texts from a file, and their predictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tokenworth.adaptation.saving import Classifier
from tokenworth.errors import SettingError, TokenworthError
from tokenworth.tasks import load_texts


def predicted_table(
    classifier: Classifier, path: Path, *, text: str | None = None, text_pair: str | None = None
) -> pd.DataFrame:
    """The rows of a file with `predicted` and `confidence`, and p_CLASS for up to 20 classes.

    Raises:
        TaskError: the file cannot be read, or has no text column.
    """
    texts = load_texts(path, text=text, text_pair=text_pair)
    probability_NC = classifier.predict_proba(texts)
    best_N = probability_NC.argmax(1) if len(texts) else []
    found = pd.DataFrame(
        {
            "text": texts,
            "predicted": [classifier.label_names[place] for place in best_N],
            "confidence": probability_NC.max(1) if len(texts) else [],
        }
    )
    if len(classifier.label_names) <= 20:
        found = found.assign(**{f"p_{name}": probability_NC[:, i] for i, name in enumerate(classifier.label_names)})
    return found


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """As .csv, .tsv, .jsonl or .parquet, under a temporary name first.

    Raises:
        SettingError: another ending.
        TokenworthError: the file cannot be written.
    """
    writers: dict[str, Callable[[Path], object]] = {
        ".csv": lambda part: table.to_csv(part, index=False),
        ".tsv": lambda part: table.to_csv(part, index=False, sep="\t"),
        ".jsonl": lambda part: table.to_json(part, orient="records", lines=True, force_ascii=False),
        ".parquet": lambda part: table.to_parquet(part, index=False),
    }
    if path.suffix not in writers:
        raise SettingError(f"predictions are written as {', '.join(writers)}, not {path.name}")
    part = path.with_name(path.name + ".part")
    try:
        writers[path.suffix](part)
        part.replace(path)
    except OSError as error:
        raise TokenworthError(f"{path} cannot be written ({error.strerror or error}); name another file") from error
