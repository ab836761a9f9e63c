"""What MkDocs does beside building docs/: writes the reference, executes tutorials, draws charts, mends links."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))
from reference_commands import command_entries, command_pages, file_entries, file_pages
from reference_names import name_entries, name_pages
from route_chart import PLACE, chart
from tutorials import put_in, tutorials

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = {"commands": command_pages, "files": file_pages, "python": name_pages}
METHOD = "method.md"
AT_ROOT = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files of the checkout that are pages, too, and how the site calls them."""
ELSEWHERE = {"docs/settings.md": "reference/commands/index.md", "examples": METHOD, "docs/results": "results/index.md"}
"""Where links lead within the site whose files are no pages of it; a command's heading in settings.md: to its page."""
_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """The entries of generated pages take their place in the navigation, before what stands in it already."""
    below = next(entry["Reference"] for entry in config.nav if "Reference" in entry)
    below[:0] = [
        {"Commands": command_entries("reference/commands")},
        {"Files": file_entries("reference/files")},
        {"Python": name_entries("reference/python")},
    ]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Generated pages join those of docs/, and executed tutorials take the place of their text.

    Raises PluginError: a block of a tutorial fails.
    """
    pages = {f"reference/{part}/{name}": text for part, made in REFERENCE.items() for name, text in made().items()}
    pages |= {page: (ROOT / name).read_text(encoding="utf-8") for name, page in AT_ROOT.items()}
    pages[METHOD] = _method()
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    put_in(files, config, tutorials())
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Links to files of the checkout lead to their pages, to the repository where its address is known, or nowhere."""
    names = {page_path: name for name, page_path in AT_ROOT.items()}
    source = names.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    within = {file.src_uri for file in files}

    def mended(link: re.Match[str]) -> str:
        text, target, anchor = link.group(1), link.group(2), link.group(3) or ""
        at = os.path.normpath(f"{Path(source).parent}/{target}")
        if "://" in target or page.file.src_uri.startswith("reference/"):
            return link.group()
        if at == "docs/settings.md" and anchor.startswith("#tokenworth-"):
            at, anchor = f"docs/reference/commands/{anchor.split('-')[1]}.md", ""
        inside = ELSEWHERE.get(at) or AT_ROOT.get(at) or at.removeprefix("docs/")
        if inside in within:
            return f"[{text}]({os.path.relpath(inside, Path(page.file.src_uri).parent)}{anchor})"
        return f"[{text}]({config.repo_url}/blob/main/{at})" if config.repo_url else text

    return _LINK.sub(mended, markdown.replace(PLACE, chart()) if PLACE in markdown else markdown)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Tables of the reference have a style of their own."""
    return f'<div class="reference">{html}</div>' if page.file.src_uri.startswith("reference/") else html


def _method() -> str:
    """The flat scripts of examples/, one below the other."""
    intro = (
        "# The method in four files\n\nThe whole method once more as flat scripts, with numpy, torch and transformers "
        "alone, to be read from top to bottom. They give the package's numbers (a test compares them); the package "
        "adds intervals, exact resume, packing, devices and pages.\n"
    )
    scripts = [(path.name, path.read_text(encoding="utf-8")) for path in sorted((ROOT / "examples").glob("*.py"))]
    return "\n".join([intro, *(f"## {name}\n\n```python\n{text}```\n" for name, text in scripts)])
