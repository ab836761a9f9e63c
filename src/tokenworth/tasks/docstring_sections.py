"""A built-in task of several labels: which sections does the docstring have that a summary belongs to?

Texts are what stands before the first section of a docstring in numpydoc's form; labels are its sections, such as
parameters, returns, examples, see also.  Most docstrings have several, some of them often together, some seldom.
"""

from __future__ import annotations

import random
import re
from itertools import chain

from tokenworth.errors import TaskError
from tokenworth.tasks.docstrings import MAX_BYTES, docstrings_of, mask_names, source_files
from tokenworth.tasks.table import Table

PACKAGES = {**{name: name for name in ("numpy", "scipy", "pandas", "networkx")}, "scikit-learn": "sklearn"}
"""Packages that write in numpydoc's form: name to install, name to import."""
SECTIONS = (
    *("Parameters", "Returns", "Raises", "Yields", "Warns", "See Also", "Notes", "References", "Examples"),
    *("Attributes", "Methods"),
)
MAX_TEXTS, MAX_PER_FILE = 500, 12
"""Texts of a package, and of a file."""
MIN_CHARACTERS, MAX_CHARACTERS = 30, 400

_HEADING = re.compile(rf"^[ \t]*({'|'.join(SECTIONS)})[ \t]*\n[ \t]*-{{3,}}", re.MULTILINE)


def section_table(seed: int = 0) -> Table:
    """Texts with columns `text`, `labels` (a list of sections) and `file`; one seed and set of packages, one result.

    Up to 500 texts of each package from a seeded sample of its files, at most 12 of one file, each what stands before
    the first section as one line of 30 to 400 characters, package names masked.  Of texts that occur twice the first is
    kept.  A TaskError where none of the packages has its sources here.
    """
    rows = list(chain.from_iterable(_package_rows(name, package, seed) for name, package in PACKAGES.items()))
    if not rows:
        names = " ".join(PACKAGES)
        raise TaskError(f"docstring-sections: no sources of the packages are here; run: pip install {names}")
    first = {text: (labels, file) for text, labels, file in reversed(rows)}
    labels, files = zip(*first.values(), strict=True)
    return Table({"text": list(first), "labels": list(labels), "file": list(files)}, "docstring-sections")


def _package_rows(name: str, package: str, seed: int) -> list[tuple[str, list[str], str]]:
    """Text, sections and file from files in seeded order, until there are enough."""
    try:
        files = [path for path in source_files(package) if path.stat().st_size <= MAX_BYTES]
    except TaskError:
        return []
    random.Random(f"{seed}:{name}").shuffle(files)  # noqa: S311 - a sample, not a secret
    rows: list[tuple[str, list[str], str]] = []
    for path in files:
        described = [found for docstring in docstrings_of(path) if (found := summary_and_sections(docstring))]
        place = f"{name}/{path.parent.name}/{path.name}"
        rows += [(text, sections, place) for text, sections in described[:MAX_PER_FILE]]
        if len(rows) >= MAX_TEXTS:
            break
    return rows[:MAX_TEXTS]


def summary_and_sections(docstring: str) -> tuple[str, list[str]] | None:
    """What stands before the first section, masked and as one line, and the sections' names; None without a section or
    where the text is too short or too long.
    """
    headings = list(_HEADING.finditer(docstring))
    if not headings:
        return None
    text = " ".join(mask_names(docstring[: headings[0].start()]).split())
    if not MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS:
        return None
    return text, list(dict.fromkeys(heading[1].lower() for heading in headings))
