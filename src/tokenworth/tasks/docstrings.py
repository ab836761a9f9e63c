"""The built-in offline task: which package does a docstring come from?

Source files of installed packages are parsed, never imported.  Package names and their usual short forms are masked, so
that a text must be recognised by what it is about.  Texts of one file share a group, which keeps near copies on one
side.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import io
import random
import re
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tokenworth.errors import TaskError
from tokenworth.tasks.table import Table

PACKAGES = {
    **{name: name for name in ("numpy", "scipy", "pandas")},
    "scikit-learn": "sklearn",
    **{name: name for name in ("torch", "transformers", "networkx", "sympy")},
}
"""Classes of the task: name to install, name to import.  The last two come with torch."""

MIN_CLASSES = 6
MIN_TEXTS = 200
"""A package with fewer usable docstrings is no class."""
MAX_TEXTS, MAX_PER_FILE = 500, 12
"""Texts of a class, and of a file."""
MAX_BYTES = 60_000
"""Longer files cost more to parse than their 12 texts are worth: 6.2 s without, 4.6 s with this limit."""
MIN_CHARACTERS, MAX_CHARACTERS = 60, 600
MASK = "library"

Described = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
"""What may have a docstring."""

_NAMES = re.compile(
    r"(?<![A-Za-z0-9])(?:numpy|np|scipy|sp|pandas|pd|sklearn|scikits?[-_. ]learn|scikit|"
    r"(?:py)?torch(?:vision|audio|script)?|transformers|"
    r"hugging[-_ ]?face(?:[-_]hub)?|hf|networkx|nx|sympy)(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_SKIPPED = {"tests", "test", "testing", "_tests", "conftest.py"}
_SKIPPED |= {"_vendor", "vendor", "vendored", "externals", "third_party", "array_api_compat", "array_api_extra"}
_SECTION = re.compile(
    r"\n[ \t]*(?:[-=~^]{3,}|>>>|\.\. |:param|:returns?:|"
    r"(?:Args|Arguments|Parameters|Returns|Examples?)[ \t]*:?[ \t]*\n)"
)


def docstring_table(seed: int = 0) -> Table:
    """Texts with columns `text`, `label` (the package's name) and `file`; one seed and set of packages, one result.

    Up to 500 texts of each package from a seeded sample of its files, at most 12 of one file, each the beginning of a
    docstring as one line of 60 to 600 characters.  Texts that occur in two packages are left out.  With fewer than six
    packages a TaskError names what to install.
    """
    rows = [(text, name, file) for name in PACKAGES for text, file in _package_texts(name, seed).items()]
    packages_of = Counter(text for text, _, _ in rows)
    rows = [row for row in rows if packages_of[row[0]] == 1]
    counts = Counter(name for _, name, _ in rows)
    lacking = [name for name in PACKAGES if counts[name] < MIN_TEXTS]
    if (enough := len(PACKAGES) - len(lacking)) < MIN_CLASSES:
        what = f"only {enough} of the packages it is built from are installed with their sources"
        raise TaskError(f"docstrings: {what}, and it needs {MIN_CLASSES}; run: pip install {' '.join(lacking)}")
    columns = zip(*(row for row in rows if row[1] not in lacking), strict=True)
    return Table(dict(zip(("text", "label", "file"), map(list, columns), strict=True)), "docstrings")


def source_files(package: str) -> list[Path]:
    """Python files of an installed package (by the name to import), sorted, without its tests and vendored copies.

    Nothing is imported; a TaskError where it is not installed.
    """
    folder = _folder(package)
    if folder is None:
        raise TaskError(f"package '{package}' is not installed with its source files; run: pip install {package}")
    return sorted(path for path in folder.rglob("*.py") if not _SKIPPED.intersection(path.relative_to(folder).parts))


def docstrings_of(path: Path) -> list[str]:
    """Docstrings of a file's module, classes, functions and methods in order, unindented; [] if it does not parse."""
    return [docstring for _, docstring in described(path)]


def described(path: Path) -> list[tuple[Described, str]]:
    """The same, each behind what it describes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about their escape sequences, which are not ours to mend
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            return []
    return [(node, inspect.cleandoc(text)) for node in _nodes(tree) if (text := ast.get_docstring(node, clean=False))]


def comments_of(path: Path) -> list[str]:
    """Comments of a file in order, neighbouring comment lines joined by line breaks; [] if it cannot be tokenised."""
    blocks: list[list[str]] = []
    last = -1
    try:
        for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline):
            if token.type != tokenize.COMMENT:
                continue
            if token.start[0] != last + 1:
                blocks.append([])
            blocks[-1].append(token.string.lstrip("#!:").strip())
            last = token.start[0]
    except (tokenize.TokenError, SyntaxError, UnicodeDecodeError):
        return []
    return [text for block in blocks if (text := "\n".join(block).strip())]


def mask_names(text: str) -> str:
    """The text with every package name and usual short form (np, pd, hf ...) replaced by a neutral word."""
    return _NAMES.sub(MASK, text)


def _nodes(node: ast.AST) -> Iterator[Described]:
    """The module and all classes and functions in it; functions inside functions are passed over, as is all else."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield node
    if isinstance(node, (ast.Module, ast.ClassDef, ast.If, ast.Try)):
        for child in node.body:
            yield from _nodes(child)


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)  # finds a top-level package without importing it
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _package_texts(name: str, seed: int) -> dict[str, str]:
    """Up to MAX_TEXTS texts, each with its file, from files in seeded order; reading stops once there are enough."""
    folder = _folder(PACKAGES[name])
    if folder is None:
        return {}
    rng = random.Random(f"{seed}:{name}")  # noqa: S311 - a sample, not a secret
    files = [path for path in source_files(PACKAGES[name]) if path.stat().st_size <= MAX_BYTES]
    rng.shuffle(files)
    texts: dict[str, str] = {}
    for path in files:
        if len(texts) >= MAX_TEXTS:
            break
        file = f"{name}/{path.relative_to(folder).as_posix()}"
        usable = list(dict.fromkeys(text for doc in docstrings_of(path) if (text := _beginning(doc)) is not None))
        for text in rng.sample(usable, min(MAX_PER_FILE, len(usable))):
            texts.setdefault(text, file)
    return dict(islice(texts.items(), MAX_TEXTS))


def _beginning(docstring: str) -> str | None:
    """The prose before the first section as one masked line, cut at a word; None where it is too short.

    What follows (parameter lists, doctests) tells packages apart by the layout they use, not by their subject.
    """
    heading = _SECTION.search(docstring)
    prose = docstring if heading is None else docstring[: heading.start()]
    if heading is not None and heading.group().strip()[0] in "-=~^":
        prose = prose.rpartition("\n")[0]  # the underlined line is the section's title
    text = " ".join(mask_names(prose).split())
    if len(text) > MAX_CHARACTERS:
        text = text[: MAX_CHARACTERS + 1].rpartition(" ")[0]
    return text if len(text) >= MIN_CHARACTERS else None
