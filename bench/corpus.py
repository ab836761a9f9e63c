"""Corpora: extraction, redaction, contamination and the whole pipeline, measured; near-dedup is corpus_duplicates.py.

    python bench/corpus.py --corpora FOLDER [--pages FOLDER] [--megabytes 20]

`--corpora` has .parquet files with a column `text`.  `--pages` is a folder of HTML documentation in which every page
output/X.html was made of content/X.md, as that of npm is: the words of the Markdown are the truth.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from stdnum import luhn

from tokenworth.corpus import contamination, extract_text, redact
from tokenworth.corpus.build import build
from tokenworth.corpus.corpus_file import load_corpus
from tokenworth.corpus.engine.engines import Local
from tokenworth.tasks.task import Split, Task, count

_WORD = re.compile(r"[^\W_]+")
_CASES = 300


def words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))


def token_f1(found: str, truth: str) -> float:
    left, right = words(found), words(truth)
    common = sum((left & right).values())
    return 2 * common / max(1, sum(left.values()) + sum(right.values()))


def plain_markdown(text: str) -> str:
    """Words a reader sees: no front matter, no comments, no targets of links, no attributes of tags."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"^```\w*$", "", text, flags=re.MULTILINE)


def extraction(folder: Path) -> dict[str, Any]:
    pages = [
        (page.read_text(), plain_markdown(source.read_text()))
        for page in sorted((folder / "output").rglob("*.html"))
        if (source := folder / "content" / page.relative_to(folder / "output").with_suffix(".md")).is_file()
    ]
    ways: dict[str, Callable[[str], str]] = {
        "careful": extract_text,
        "fast": lambda page: extract_text(page, fast=True),
        "every word of the page": lambda page: re.sub(r"<[^>]*>", " ", page),
    }
    found: dict[str, Any] = {"pages": len(pages)}
    for name, way in ways.items():
        way(pages[0][0])
        begin = time.perf_counter()
        texts = [way(page) for page, _ in pages]
        seconds = time.perf_counter() - begin
        scores = [token_f1(text, truth) for text, (_, truth) in zip(texts, pages, strict=True)]
        found[name] = {"f1": float(np.mean(scores)), "pages_per_second": len(pages) / seconds}
    return found


def _number(rng: random.Random, digits: int) -> str:
    return "".join(rng.choices("0123456789", k=digits))


def _card(rng: random.Random, *, valid: bool) -> str:
    network = rng.choice(("4", "51", "52", "53", "54", "55"))  # Visa, Mastercard
    body = network + _number(rng, 15 - len(network))
    last = next(str(d) for d in range(10) if luhn.is_valid(body + str(d)) is valid)
    digits = body + last
    return rng.choice(("", " ", "-")).join(digits[i : i + 4] for i in range(0, 16, 4))


def _iban(rng: random.Random, *, valid: bool) -> str:
    """A German account: 98 minus the remainder modulo 97 is its check number, the next one is not."""
    body = _number(rng, 18)
    check = 98 - int(body + "131400") % 97
    return f"DE{check if valid else (check - 1) % 97 + 2:02d}{body}"


def personal(rng: random.Random) -> Iterator[tuple[str, str]]:
    """One of each type."""
    name = "".join(rng.choices("abcdefghijklmnop", k=rng.randint(3, 9)))
    more, domain = rng.choice(("", ".x", "+tag", "_9")), rng.choice(("com", "co.uk", "org", "io"))
    yield "EMAIL", f"{name}{more}@{name[::-1]}.{domain}"
    area, line, rest = f"{rng.randint(200, 999)}", f"{rng.randint(200, 999)}", _number(rng, 4)
    abroad = f"+49 {rng.randint(30, 99)} {_number(rng, 7)}"
    yield "PHONE", rng.choice((f"+1 {area} {line} {rest}", f"({area}) {line}-{rest}", f"{area}-{line}-{rest}", abroad))
    yield "SSN", f"{rng.randint(100, 599):03d}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"
    yield "IBAN", _iban(rng, valid=True)
    yield "CARD", _card(rng, valid=True)
    four = ".".join(str(rng.randint(1, 254)) for _ in range(4))
    yield "IP", rng.choice((four, ":".join(f"{rng.randint(4096, 65535):x}" for _ in range(8))))
    yield "KEY", rng.choice(("AKIA", "ASIA")) + "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16))


def near_misses(rng: random.Random) -> Iterator[tuple[str, str]]:
    """What looks like each type and is none."""
    yield "EMAIL", rng.choice(("@decorator", "user@localhost", "a @ b.com", "x@", "me@host"))
    years = f"{rng.randint(1900, 2020)}-{rng.randint(2021, 2030)}"
    date = f"{rng.randint(2000, 2024)}-0{rng.randint(1, 9)}-17"
    yield "PHONE", rng.choice((years, date, f"{rng.random():.9f}", f"{rng.randint(1, 999)},000,000"))
    yield "SSN", f"{rng.choice(('000', '666', '912'))}-{rng.randint(1, 99):02d}-{_number(rng, 4)}"
    yield "IBAN", _iban(rng, valid=False)
    yield "CARD", _card(rng, valid=False)
    version = ".".join(str(rng.randint(0, 20)) for _ in range(4))
    yield "IP", rng.choice((f"version {version}", f"v{version}", f"{version}-beta", f"lib=={version}", "10.0.300.1"))
    yield "KEY", rng.choice(("AKIAshort", "ghp_notakey", "task-force-number-one-of-many", "password: required"))


def redaction(seed: int = 0) -> dict[str, Any]:
    """By type: recall on what is personal, and of all that was called so the share that is."""
    rng = random.Random(seed)
    right: Counter[str] = Counter()
    called: Counter[str] = Counter()
    wanted: Counter[str] = Counter()
    for _ in range(_CASES):
        for is_real, cases in ((True, personal(rng)), (False, near_misses(rng))):
            for kind, value in cases:
                text = rng.choice(("Please note {} for later.", "{}", "It says: {}, doesn't it?", "see ({})")).format(
                    value
                )
                place = text.index(value)
                for one in redact(text)[1]:
                    called[one.type] += 1
                    exact = text[one.start : one.end] == value and one.start == place
                    right[one.type] += is_real and one.type == kind and exact
                wanted[kind] += is_real
    return {
        kind: {
            "recall": right[kind] / wanted[kind],
            "precision": right[kind] / max(1, called[kind]),
            "cases": 2 * wanted[kind],
        }
        for kind in wanted
    }


def planted(texts: list[str], seed: int = 0) -> dict[str, dict[int, float]]:
    """Share of 200 planted test sentences of 10 to 40 words that are found, by what was done to them and n."""
    rng = random.Random(seed)
    split = [text.split() for text in texts[:500]]
    sentences = [" ".join(own[200 : 200 + rng.randint(10, 40)]) for own in split if len(own) > 400][:200]
    part = Split(sentences, np.zeros(len(sentences), dtype=np.int64))
    empty = Split([], np.zeros(0, dtype=np.int64))
    task = Task("planted", "", ("a",), empty, part, (), count(empty, part, 1), 0)
    ways: dict[str, Callable[[str], str]] = {
        "verbatim": lambda text: text,
        "re-cased": str.upper,
        "re-punctuated": lambda text: "; ".join(text.split()),
        "one word changed": lambda text: _changed(text, rng),
    }
    others = texts[600 : 600 + len(sentences)]
    found: dict[str, dict[int, float]] = {}
    for name, way in ways.items():
        documents = [f"{other} {way(text)} {other}" for other, text in zip(others, sentences, strict=True)]
        hits = {n: contamination(documents, task, n=n) for n in (5, 8, 13, 20)}
        found[name] = {n: float((own["document"] == own["row"]).sum() / len(sentences)) for n, own in hits.items()}
    documents = [f"{other} {other}" for other in others]
    found["not planted"] = {n: len(contamination(documents, task, n=n)) / len(sentences) for n in (5, 8, 13, 20)}
    return found


def _changed(text: str, rng: random.Random) -> str:
    own = text.split()
    own[rng.randrange(len(own))] = "zzyzx"
    return " ".join(own)


def pipeline(corpora: Path, megabytes: float, workers: int) -> dict[str, float]:
    """All stages but decontamination from Parquet to shuffled text, in a process of its own for its peak of memory."""
    import multiprocessing

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_pipeline, corpora, megabytes, workers).result()


def _pipeline(corpora: Path, megabytes: float, workers: int) -> dict[str, float]:
    import pandas as pd

    with TemporaryDirectory() as folder:
        place = Path(folder)
        left = megabytes * 1e6
        for path in sorted(corpora.glob("*.parquet")):
            texts = pd.read_parquet(path, columns=["text"])
            sizes = texts["text"].map(lambda text: len(text.encode())).cumsum()
            texts[sizes <= megabytes * 1e6 / 2].to_parquet(place / path.name)
            left -= float(sizes[sizes <= megabytes * 1e6 / 2].max())
        sources = "".join(f"  {path.stem}: {path.name}\n" for path in sorted(place.glob("*.parquet")))
        (place / "corpus.yaml").write_text(f"sources:\n{sources}")
        corpus = load_corpus(place / "corpus.yaml")
        with closing(Local(workers)) as engine:
            begin, processor = time.perf_counter(), time.process_time()
            build(corpus, place / "out", engine=engine)
            seconds, processor = time.perf_counter() - begin, time.process_time() - processor
    size = megabytes - left / 1e6
    found = {"megabytes": size, "seconds": seconds, "mb_per_second": size / seconds}
    if workers > 1:  # the workers' memory is not this process's
        return found
    found["mb_per_processor_second"] = size / processor
    return {**found, "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3}


def main() -> None:
    import pandas as pd

    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--corpora", type=Path, required=True)
    parser.add_argument("--pages", type=Path)
    parser.add_argument("--megabytes", type=float, default=20.0)
    asked = parser.parse_args()
    texts = pd.read_parquet(max(asked.corpora.glob("*.parquet")))["text"].tolist()
    found: dict[str, Any] = {"redaction": redaction(), "contamination": planted(texts)}
    _show(found)
    if asked.pages is not None:
        found["extraction"] = extraction(asked.pages)
        _show({"extraction": found["extraction"]})
    found["pipeline"] = {workers: pipeline(asked.corpora, asked.megabytes, workers) for workers in (1, 2)}
    _show({"pipeline": found["pipeline"]})
    print(json.dumps(found))


def _show(found: dict[str, Any]) -> None:
    for name, rows in found.items():
        print(f"\n{name}")
        for row, values in rows.items():
            cells = values if isinstance(values, dict) else {"": values}
            print(f"  {row!s:<24}" + "  ".join(f"{key} {value:,.3f}" for key, value in cells.items()), flush=True)


if __name__ == "__main__":
    main()
