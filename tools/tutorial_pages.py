"""An executed notebook as Markdown for MkDocs: blocks, what they printed, tables and figures."""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import nbformat

if TYPE_CHECKING:
    from nbformat import NotebookNode

_VALUE = re.compile(r"\{\{\s*(.+?)\s*\}\}", re.DOTALL)
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
_LOOKS = re.compile(r' (?:border|class|style|id)="[^"]*"')


def prose_cell(markdown: str) -> NotebookNode:
    """A cell that shows a piece of prose with every {{ expression:format }} computed."""
    parts = _VALUE.split(markdown)
    pieces = [f'f"""{{ {part}}}"""' if n % 2 else repr(part) for n, part in enumerate(parts)]
    joined = ", ".join(piece for piece in pieces if piece != "''")
    source = f'__import__("IPython.display").display.display_markdown("".join([{joined}]), raw=True)'
    return nbformat.v4.new_code_cell(source, metadata={"prose": True})


def rendered(
    notebook: NotebookNode, name: str, *, versions: Mapping[str, str] | None = None, lacking: list[str] | None = None
) -> tuple[str, dict[str, bytes]]:
    """The page, and its figures by their addresses beside it.

    Args:
        notebook: with outputs, or without where something is lacking.
        name: of the page; its figures lie in a folder of that name.
        versions: of what it was executed with, for its last line.
        lacking: packages without which it was not executed.

    Raises ValueError: a figure without a text for those who do not see it.
    """
    figures: dict[str, bytes] = {}
    parts = [part for n, cell in enumerate(notebook.cells, 1) for part in _cell(cell, f"{name}/{n}", figures)]
    if lacking:
        parts.insert(1, _not_executed(lacking))
    elif versions:
        used = ", ".join(f"{package} {number}" for package, number in versions.items())
        seconds = notebook.metadata.get("seconds", 0.0)
        parts.append(f"Executed in {seconds:.0f} seconds when this page was built, with {used}.\n{{ .executed }}")
    return "\n\n".join(parts) + "\n", figures


def _not_executed(lacking: list[str]) -> str:
    names = " and ".join(lacking)
    said = (
        f"This page was built where {names} is not installed, which it needs, so it shows its blocks without what they "
        f"give. `pip install --no-deps {' '.join(lacking)}` and `make docs` execute it."
    )
    return f'!!! note "Not executed"\n    {said}'


def _cell(cell: NotebookNode, place: str, figures: dict[str, bytes]) -> Iterator[str]:
    """A cell and what it gave."""
    if cell.cell_type == "markdown":
        yield cell.source
    elif cell.cell_type == "code" and not cell.metadata.get("prose"):
        yield f"```python\n{cell.source}\n```"
    elif cell.cell_type == "code" and not cell.outputs:  # was not executed
        yield _VALUE.sub("…", "".join(_literals(cell.source)))
    for n, output in enumerate(cell.get("outputs", ()), 1):
        yield from _output(output, cell, f"{place}-{n}.png", figures)


def _literals(source: str) -> list[str]:
    """What a prose cell says around its values, with an ellipsis for each of them."""
    listed = source[source.index("[") : source.rindex("]") + 1]
    shown = re.sub(r'f""".*?"""', "'…'", listed, flags=re.DOTALL)
    return list(ast.literal_eval(shown))


def _output(output: NotebookNode, cell: NotebookNode, place: str, figures: dict[str, bytes]) -> Iterator[str]:
    """One output; what goes to stderr is progress, and left out."""
    if output.output_type == "stream":
        if output.name == "stdout":
            yield _framed(f"```text\n{output.text.rstrip()}\n```")
        return
    shown = output.data
    if "image/png" in shown:
        if not cell.metadata.get("alt"):
            raise ValueError(f'a figure without a text: begin its block with ```python alt="..."\n{cell.source}')
        figures[place] = base64.b64decode(shown["image/png"])
        yield f"![{cell.metadata['alt']}]({place}){{ .figure }}"
    elif "text/html" in shown:
        yield _framed(_LOOKS.sub("", _STYLE.sub("", shown["text/html"])).strip())
    elif "text/markdown" in shown:
        yield shown["text/markdown"]
    else:
        yield _framed(f"```text\n{shown['text/plain'].rstrip()}\n```")


def _framed(markdown: str) -> str:
    return f'<div class="output" markdown>\n\n{markdown}\n\n</div>'
