"""Corpora: raw documents to shuffled text that one can answer for, and the calls its stages are made of."""

from tokenworth.corpus.deduplication.near_duplicates import near_duplicates
from tokenworth.corpus.diversity import diversity
from tokenworth.corpus.document import Amount, Document, Ledger
from tokenworth.corpus.filters.contamination import contamination
from tokenworth.corpus.personal_data.redaction import Finding, redact
from tokenworth.corpus.readers.main_text import extract_text

__all__ = [
    "Amount",
    "Document",
    "Finding",
    "Ledger",
    "contamination",
    "diversity",
    "extract_text",
    "near_duplicates",
    "redact",
]
