"""Stages: documents in, documents out, every one that is dropped or changed written into the ledger under a reason.

A stage is its settings.  Stages of one shard (extract, normalise, quality, redact, decontaminate) need nothing but the
shard's documents; stages of the corpus (exact, near) first take a few numbers of every document, decide, and then go
over the shards (`CorpusStage`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from tokenworth.corpus.document import Document, Ledger
from tokenworth.corpus.duplicates import bands
from tokenworth.corpus.extract import extract_text, plain_latex
from tokenworth.corpus.normalise import language, mixed_words, normalised
from tokenworth.corpus.quality import QualityRules, judge
from tokenworth.corpus.redact import TYPES, redact
from tokenworth.corpus.sketch import shingle
from tokenworth.errors import SettingError


class Stage(Protocol):
    """What all stages are."""

    name: ClassVar[str]

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """The documents that go on."""
        ...


class CorpusStage(Protocol):
    """A stage that must have seen every document before it can drop one."""

    name: ClassVar[str]

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """What it remembers of a shard."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Extract:
    """Main text of HTML and LaTeX; other documents pass as they are."""

    name: ClassVar[str] = "extract"
    fast: bool = False
    """The fast way for HTML, about ten times as fast and less exact."""

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """Documents with text in them."""
        return [one for document in documents if (one := self._text_of(document, ledger)) is not None]

    def _text_of(self, document: Document, ledger: Ledger) -> Document | None:
        if document.kind not in ("html", "latex"):
            return document
        made = extract_text(document.text, fast=self.fast) if document.kind == "html" else plain_latex(document.text)
        if not made:
            ledger.drop(document, "no main text")
            return None
        ledger.change(document, made, f"text of {document.kind}")
        return replace(document, text=made, kind="text")


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalise:
    """One form of Unicode, and only the languages that are wanted."""

    name: ClassVar[str] = "normalise"
    mojibake: bool = True
    """Repair text that was decoded with the wrong encoding."""
    lower: bool = False
    diacritics: bool = True
    languages: tuple[str, ...] = ()
    """ISO 639 codes to keep; none keeps all."""
    min_probability: float = 0.3
    """Below it a language is taken for unknown (und)."""
    max_mixed_words: float | None = 0.1
    """Largest share of words that mix Latin with Greek or Cyrillic letters."""

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """Documents in their one form."""
        return [one for document in documents if (one := self._normal(document, ledger)) is not None]

    def _normal(self, document: Document, ledger: Ledger) -> Document | None:
        normal = normalised(document.text, mojibake=self.mojibake, lower=self.lower, diacritics=self.diacritics)
        for reason in normal.changes:
            ledger.change(document, normal.text, reason)
        found = replace(document, text=normal.text)
        if not normal.text.strip():
            ledger.drop(document, "empty")
            return None
        code = "code" if document.kind == "code" else self._language(normal.text)
        ledger.count("languages", code)
        if document.kind == "code":
            return found
        if refusal := self._refusal(normal.text, code):
            ledger.drop(found, refusal)
            return None
        return found

    def _language(self, text: str) -> str:
        code, probability = language(text)
        return code if probability >= self.min_probability else "und"

    def _refusal(self, text: str, code: str) -> str | None:
        if self.languages and code not in self.languages:
            return f"language {code}"
        if self.max_mixed_words is not None and mixed_words(text) > self.max_mixed_words:
            return "scripts mixed in words"
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality(QualityRules):
    """Heuristics that refuse a document; see `QualityRules` for the limits."""

    name: ClassVar[str] = "quality"

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """Documents that no rule refuses."""
        reasons = judge(["" if one.kind == "code" else one.text for one in documents], self)
        kept = []
        for document, reason in zip(documents, reasons, strict=True):
            if reason is None or document.kind == "code":
                kept.append(document)
            else:
                ledger.drop(document, reason)
        return kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Redact:
    """Personal data replaced by its type."""

    name: ClassVar[str] = "redact"
    types: tuple[str, ...] = TYPES

    def __post_init__(self) -> None:
        if unknown := set(self.types) - set(TYPES):
            raise SettingError(f"redact knows no type {min(unknown)!r}; there are {', '.join(TYPES)}")

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """All documents."""
        return [self._redacted(document, ledger) for document in documents]

    def _redacted(self, document: Document, ledger: Ledger) -> Document:
        text, findings = redact(document.text, self.types)
        for finding in findings:
            ledger.count("personal", finding.type)
        for kind in dict.fromkeys(finding.type for finding in findings):
            ledger.change(document, text, kind)
        return replace(document, text=text) if findings else document


@dataclass(frozen=True, kw_only=True, slots=True)
class Exact:
    """Of texts that are equal, case and white space apart, the first is kept."""

    name: ClassVar[str] = "exact"

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """The first 16 bytes of each text's SHA-256."""
        digests = [_digest(document.text) for document in documents]
        return {"digest": np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """Of texts that share most of their runs of five words the first is kept."""

    name: ClassVar[str] = "near"
    threshold: float = 0.8
    """Jaccard similarity."""

    def __post_init__(self) -> None:
        bands(self.threshold)

    def observe(self, documents: Sequence[Document]) -> dict[str, np.ndarray]:
        """A sketch and the hashed runs of each text: no text."""
        found = shingle([document.text for document in documents])
        return {"sketches": np.ascontiguousarray(found.sketches.T), "runs": found.runs, "first": found.first}


@dataclass(frozen=True, kw_only=True, slots=True)
class Decontaminate:
    """Documents that share a run of n words with a text of a task are dropped."""

    name: ClassVar[str] = "decontaminate"
    tasks: tuple[str, ...] = ()
    """As `load_task` takes them."""
    n: int = 13
    splits: tuple[str, ...] = ("test",)
    """Parts of a task whose texts must not be there; those of the others are counted only."""
    index: str = ""
    """File with the runs to look for, which the build makes of the tasks."""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise SettingError(f"decontaminate: n = {self.n}; give the words of a run, such as 13")
        if wrong := set(self.splits) - {"test", "train"}:
            raise SettingError(f"decontaminate: a task has no split {min(wrong)!r}; there are test and train")

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """Documents without a run of those splits."""
        from tokenworth.corpus.looking import load_index, look

        found = look([document.text for document in documents], load_index(self.index))
        kept = []
        for i, document in enumerate(documents):
            hits = found.get(i, ())
            for task, split in {(hit.task, hit.split) for hit in hits}:
                ledger.count("contaminated documents", f"{task} {split}")
            for hit in hits:
                ledger.count("task texts found", f"{hit.task} {hit.split} {hit.row}")
            spoilt = next((hit for hit in hits if hit.split in self.splits), None)
            if spoilt is None:
                kept.append(document)
            else:
                ledger.drop(replace(document, text=document.text[max(0, spoilt.start - 40) :]), _reason(spoilt))
        return kept


def _reason(hit: Any) -> str:
    return f"holds {hit.split} text of {hit.task}"


def _digest(text: str) -> bytes:
    return hashlib.sha256(" ".join(text.casefold().split()).encode("utf-8", "surrogatepass")).digest()[:16]


STAGES: dict[str, type[Any]] = {
    one.name: one for one in (Extract, Normalise, Quality, Redact, Exact, Near, Decontaminate)
}
"""By name, in the order in which they stand where a file does not say."""


def facts_of(stage: Any) -> dict[str, Any]:
    """What its documents depend on, as plain data."""
    found: dict[str, Any] = asdict(stage)
    return {"stage": stage.name, **found}


def is_corpus_stage(stage: Any) -> bool:
    """Whether it must have seen every document."""
    return hasattr(stage, "observe")
