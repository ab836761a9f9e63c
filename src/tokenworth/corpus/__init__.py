"""Corpora: raw documents to shuffled text that one can answer for, and the calls its stages are made of."""

from tokenworth.corpus.contamination import contamination
from tokenworth.corpus.diversity import diversity
from tokenworth.corpus.document import Amount, Document, Ledger
from tokenworth.corpus.duplicates import near_duplicates
from tokenworth.corpus.extract import extract_text
from tokenworth.corpus.personal import Finding
from tokenworth.corpus.redact import redact

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
