"""Tutorials: docs/tutorials/NAME.md read as notebooks, executed where the site is built, and kept by their content.

A block of Python is a cell.  Prose may hold {{ expression:format }}, which is computed where it stands, so that no
number of a tutorial is typed.  The front matter `needs: [package]` names what brings its models: where one is not
installed the page says so and shows the blocks alone.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jupytext
import nbformat
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from mkdocs.utils.meta import get_data
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from traitlets.config import Config
from tutorial_pages import prose_cell, rendered

from tokenworth.base.atomic_files import write_text
from tokenworth.base.cell_store import content_key
from tokenworth.version import __version__

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]
FOLDER, KEPT = ROOT / "docs" / "tutorials", ROOT / "out" / "tutorials"
STYLE = Path(__file__).with_name("tutorials.matplotlibrc")
LIBRARIES = ("torch", "transformers", "matplotlib")
"""Their versions stand below each tutorial, and another version executes it anew."""
LONGEST = 1800
"""Seconds a block may take on a busy machine."""
_FENCE = re.compile(r"^```python", re.MULTILINE)


@dataclass(frozen=True)
class Tutorial:
    """A page of docs/tutorials with blocks to execute."""

    path: Path
    text: str
    needs: tuple[str, ...]
    """Packages that bring its models."""

    @classmethod
    def read(cls, path: Path) -> Tutorial:
        """From its file."""
        text = path.read_text(encoding="utf-8")
        return cls(path, text, tuple(get_data(text)[1].get("needs", ())))

    @property
    def lacking(self) -> list[str]:
        """Packages it needs that are not installed."""
        return [name for name in self.needs if not _installed(name)]

    @property
    def versions(self) -> dict[str, str]:
        """Of all that its output hangs on."""
        return {"tokenworth": __version__, **{name: _installed(name) for name in (*LIBRARIES, *self.needs)}}

    def notebook(self) -> NotebookNode:
        """Its cells; prose with something to compute in it is a cell, too."""
        notebook = jupytext.reads(get_data(self.text)[0], fmt="md")
        for cell in notebook.cells:
            if cell.cell_type == "markdown" and "{{" in cell.source:
                cell.update(prose_cell(cell.source))
        return notebook

    def page(self, kept: Path = KEPT) -> tuple[str, dict[str, bytes]]:
        """Markdown with its outputs, and its figures by their addresses beside the page.

        Raises PluginError: a block fails, or draws a figure without a text for those who do not see it.
        """
        if self.lacking:
            return rendered(self.notebook(), self.path.stem, lacking=self.lacking)
        try:
            return rendered(self.executed(kept), self.path.stem, versions=self.versions)
        except ValueError as fault:
            raise PluginError(f"{self.path.name}: {fault}") from fault

    def executed(self, kept: Path = KEPT) -> NotebookNode:
        """With outputs: as they are kept for this text and these versions, or as they are now."""
        key = content_key({"text": self.text, "versions": self.versions})
        place = kept / f"{self.path.stem}-{key}.ipynb"
        if place.is_file():
            return nbformat.read(place, as_version=4)
        notebook = self._run(self.notebook())
        kept.mkdir(parents=True, exist_ok=True)
        for earlier in kept.glob(f"{self.path.stem}-{'?' * len(key)}.ipynb"):
            earlier.unlink()
        write_text(place, nbformat.writes(notebook))
        return notebook

    def _run(self, notebook: NotebookNode) -> NotebookNode:
        """Cell after cell in a kernel of its own, within a folder that goes when it ends."""
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory() as work:
            client = _client(notebook, work)
            with client.setup_kernel(env=_environment(work)):
                for index in range(len(notebook.cells)):
                    self._execute(client, index)
        notebook.metadata["seconds"] = time.perf_counter() - begun
        return notebook

    def _execute(self, client: NotebookClient, index: int) -> None:
        try:
            client.execute_cell(client.nb.cells[index], index)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as fault:
            raise PluginError(self._failed(client.nb.cells[: index + 1], fault)) from fault

    def _failed(self, cells: list[NotebookNode], fault: Exception) -> str:
        """File, block and line of the last of some cells, and what it said."""
        reason = f"{fault.ename}: {fault.evalue}" if isinstance(fault, CellExecutionError) else str(fault)
        if cells[-1].metadata.get("prose"):
            return f"docs/tutorials/{self.path.name}, a value in its prose: {reason}\n{cells[-1].source}"
        block = sum(cell.cell_type == "code" and not cell.metadata.get("prose") for cell in cells)
        starts = [self.text.count("\n", 0, fence.start()) + 1 for fence in _FENCE.finditer(self.text)]
        return f"docs/tutorials/{self.path.name}, block {block} (line {starts[block - 1]}): {reason}"


def put_in(files: Any, config: Any, found: Iterable[Tutorial], kept: Path = KEPT) -> None:
    """Executed pages take the place of their text among the files of a site, with their figures beside them.

    Raises PluginError: as `Tutorial.page`.
    """
    for tutorial in found:
        name = f"tutorials/{tutorial.path.name}"
        files.remove(files.get_file_from_path(name))
        page, figures = tutorial.page(kept)
        files.append(File.generated(config, name, content=page))
        for place, png in figures.items():
            files.append(File.generated(config, f"tutorials/{place}", content=png))


def tutorials(folder: Path = FOLDER) -> list[Tutorial]:
    """All pages of the folder that hold a block; the index holds none."""
    read = [Tutorial.read(path) for path in sorted(folder.glob("*.md"))]
    return [tutorial for tutorial in read if _FENCE.search(tutorial.text)]


def _installed(name: str) -> str:
    """The version of a package, empty where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _environment(work: str) -> Mapping[str, str]:
    """Nothing is fetched, and nobody's own settings of IPython or matplotlib change a page."""
    return {**os.environ, "HF_HUB_OFFLINE": "1", "IPYTHONDIR": f"{work}/.ipython", "MATPLOTLIBRC": str(STYLE)}


def _client(notebook: NotebookNode, work: str) -> NotebookClient:
    """Speaks to a kernel that works in a folder, through sockets in that folder and no port."""
    sockets = Config({"KernelManager": {"transport": "ipc", "ip": f"{work}/.kernel"}})
    place = {"metadata": {"path": work}}
    return NotebookClient(
        notebook, kernel_name="python3", timeout=LONGEST, startup_timeout=LONGEST, resources=place, config=sockets
    )
