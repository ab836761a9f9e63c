"""Files as rows and texts: one reader for tasks, corpora and pretraining; nothing in them is interpreted.

Files of results are written by `tokenworth.base.atomic_files`.
"""

from tokenworth.files.columnar import Columnar
from tokenworth.files.data_files import files_of, saved_parts, whole_sets
from tokenworth.files.delimited import Delimited
from tokenworth.files.endings import ending, same_form, stem, text_in
from tokenworth.files.faults import Fault, Row
from tokenworth.files.json_lines import json_rows
from tokenworth.files.lines import Line, text_lines, whole_text

__all__ = [
    "Columnar",
    "Delimited",
    "Fault",
    "Line",
    "Row",
    "ending",
    "files_of",
    "json_rows",
    "same_form",
    "saved_parts",
    "stem",
    "text_in",
    "text_lines",
    "whole_sets",
    "whole_text",
]
