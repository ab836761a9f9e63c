"""Stages of one shard that look at a document alone: extract, normalise, quality, redact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from tokenworth.corpus.document import Document, Ledger
from tokenworth.corpus.engine.stage import Preparation, ShardStage, Stage
from tokenworth.corpus.filters.normalisation import Normal, language, mixed_words, normalised
from tokenworth.corpus.filters.quality_rules import QualityRules, judgements
from tokenworth.corpus.personal_data.entity_names import RECOGNISER, recogniser, recogniser_version
from tokenworth.corpus.personal_data.redaction import TYPES, Finding, redact
from tokenworth.corpus.readers.main_text import extract_text, plain_latex
from tokenworth.errors import SettingError
from tokenworth.settings import check_fields

NOT_APPLIED = "rules that say nothing of a language"
"""The ledger's fact: documents that a quality rule was not applied to, by rule and language."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extract(ShardStage):
    """Main text of HTML and LaTeX; other documents pass as they are."""

    name: ClassVar[str] = "extract"
    fast: bool = False
    """The fast way for HTML, about ten times as fast and less exact."""

    def applied(self, document: Document, ledger: Ledger) -> Document | None:
        """A document with text in it."""
        if document.kind not in ("html", "latex"):
            return document
        text = extract_text(document.text, fast=self.fast) if document.kind == "html" else plain_latex(document.text)
        if not text:
            ledger.drop(document, "no main text")
            return None
        ledger.change(document, text, f"text of {document.kind}")
        return replace(document, text=text, kind="text")


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalise(ShardStage):
    """One form of Unicode, and only the languages that are wanted."""

    name: ClassVar[str] = "normalise"
    changes_texts: ClassVar[bool] = True
    mojibake: bool = True
    """Repair text that was decoded with the wrong encoding."""
    lower: bool = False
    """Write all letters small."""
    diacritics: bool = True
    """Keep accents and other marks on letters."""
    languages: tuple[str, ...] = ()
    """ISO 639 codes to keep; none keeps all."""
    min_probability: float = 0.3
    """Below it a language is taken for unknown (und)."""
    max_mixed_words: float | None = 0.1
    """Largest share of words that mix Latin with Greek or Cyrillic letters."""

    def applied(self, document: Document, ledger: Ledger) -> Document | None:
        """A document in its one form."""
        normal = self._normal(document.text)
        for reason in normal.changes:
            ledger.change(document, normal.text, reason)
        after = replace(document, text=normal.text)
        if not normal.text.strip():
            ledger.drop(document, "empty")
            return None
        code = "code" if document.kind == "code" else self._language(normal.text)
        ledger.count("languages", code)
        if document.kind != "code" and (refusal := self._refusal(normal.text, code)):
            ledger.drop(after, refusal)
            return None
        return after

    def form_of(self, text: str) -> str:
        """A text as a document with it would be after this stage."""
        return self._normal(text).text

    def _normal(self, text: str) -> Normal:
        return normalised(text, mojibake=self.mojibake, lower=self.lower, diacritics=self.diacritics)

    def _language(self, text: str) -> str:
        code, probability = language(text)
        return code if probability >= self.min_probability else "und"

    def _refusal(self, text: str, code: str) -> str | None:
        if self.languages and code not in self.languages:
            return f"language {code}"
        is_mixed = self.max_mixed_words is not None and mixed_words(text) > self.max_mixed_words
        return "scripts mixed in words" if is_mixed else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality(QualityRules, ShardStage):
    """Limits that refuse a document; null turns a rule off.  Shares are in [0, 1]."""

    name: ClassVar[str] = "quality"

    def __call__(self, documents: Sequence[Document], ledger: Ledger) -> list[Document]:
        """Documents that no rule refuses."""
        texts = ["" if document.kind == "code" else document.text for document in documents]
        kept = []
        for document, judgement in zip(documents, judgements(texts, self), strict=True):
            for rule in judgement.not_applied:
                ledger.count(NOT_APPLIED, f"{rule}: {judgement.language}")
            if judgement.refused_by is None or document.kind == "code":
                kept.append(document)
            else:
                ledger.drop(document, judgement.refused_by)
        return kept


@dataclass(frozen=True, kw_only=True, slots=True)
class Redact(ShardStage):
    """Personal data replaced by its type."""

    name: ClassVar[str] = "redact"
    changes_texts: ClassVar[bool] = True
    found_by_path: ClassVar[tuple[str, ...]] = ("recogniser",)
    types: tuple[str, ...] = TYPES
    """What to look for."""
    names: bool = False
    """Names of persons and places, too, by an entity recogniser."""
    recogniser: str = RECOGNISER
    """An installed model of spaCy, or a folder."""
    fingerprint: str = ""
    """Of the recogniser, found by the build."""

    def __post_init__(self) -> None:
        check_fields(self)
        if unknown := set(self.types) - set(TYPES):
            raise SettingError(f"redact knows no type {min(unknown)!r}; there are {', '.join(TYPES)}")

    def prepare(self, work: Preparation) -> Stage:  # noqa: ARG002
        """With the version of its recogniser, where names are to be found."""
        return replace(self, fingerprint=recogniser_version(self.recogniser)) if self.names else self

    def applied(self, document: Document, ledger: Ledger) -> Document:
        """The document, redacted."""
        text, findings = self._redacted(document.text)
        for finding in findings:
            ledger.count("personal", finding.type)
        for kind in dict.fromkeys(finding.type for finding in findings):
            ledger.change(document, text, kind)
        return replace(document, text=text) if findings else document

    def form_of(self, text: str) -> str:
        """A text as a document with it would be after this stage."""
        return self._redacted(text)[0]

    def _redacted(self, text: str) -> tuple[str, list[Finding]]:
        return redact(text, self.types, names=recogniser(self.recogniser) if self.names else None)
