"""How much personal data is found in texts that nobody here wrote, and how much is found that is none.

    pip download --no-deps --no-binary :all: presidio-evaluator && tar xzf presidio_evaluator-*.tar.gz
    python bench/personal_data.py --spans presidio_evaluator-*/data/synth_dataset_v2.json --corpora FOLDER

--spans: 1,500 texts with the places of what is personal in them.  A span counts as found where all its letters and
digits are replaced.  Code is that of installed packages; what is found there and in FOLDER (../shared/data/corpora),
e-mail addresses aside, is false.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from time import process_time
from typing import Any

import pandas as pd

from tokenworth.corpus import Finding, redact

TYPES = {
    "CREDIT_CARD": "CARD",
    "PHONE_NUMBER": "PHONE",
    "IBAN_CODE": "IBAN",
    "US_SSN": "SSN",
    "EMAIL_ADDRESS": "EMAIL",
    "IP_ADDRESS": "IP",
}
PACKAGES = ("numpy", "scipy", "sklearn", "pandas")
DOCUMENTS = {"wikipedia_en_2018": 2500, "english_novels": 700}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--spans", type=Path)
    options.add_argument("--corpora", type=Path)
    given = options.parse_args()
    if given.spans is not None:
        print(recall(json.loads(given.spans.read_text(encoding="utf-8"))).to_string())
    texts = [*code(), *(documents(given.corpora) if given.corpora is not None else ())]
    begun = process_time()
    false = Counter(one.type for text in texts for one in redact(text)[1])
    print(f"{sum(map(len, texts)) / 1e6:.1f} M characters in {process_time() - begun:.1f} s: {dict(false)}")


def recall(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Spans there are and spans found by type, and findings that touch none."""
    there, hits, false = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        text, findings = row["full_text"], redact(row["full_text"])[1]
        spans = [span for span in row["spans"] if span["entity_type"] in TYPES]
        there.update(TYPES[span["entity_type"]] for span in spans)
        hits.update(TYPES[span["entity_type"]] for span in spans if covers(findings, span, text))
        false.update(one.type for one in findings if not any(touches(one, span) for span in spans))
    names = list(TYPES.values())
    counts = {"there": there, "found": hits, "false": false}
    return pd.DataFrame({name: [count[kind] for kind in names] for name, count in counts.items()}, index=names)


def covers(findings: list[Finding], span: dict[str, Any], text: str) -> bool:
    places = [at for at in range(span["start_position"], span["end_position"]) if text[at].isalnum()]
    return all(any(one.start <= place < one.end for one in findings) for place in places)


def touches(finding: Finding, span: dict[str, Any]) -> bool:
    return bool(finding.start < span["end_position"] and finding.end > span["start_position"])


def code() -> list[str]:
    """The Python files of some packages."""
    folders = [Path(spec.origin).parent for spec in map(find_spec, PACKAGES) if spec is not None and spec.origin]
    return [file.read_text(errors="replace") for folder in folders for file in sorted(folder.rglob("*.py"))]


def documents(folder: Path) -> Iterator[str]:
    for name, count in DOCUMENTS.items():
        yield from pd.read_parquet(folder / f"{name}.parquet")["text"].sample(count, random_state=0)


if __name__ == "__main__":
    main()
