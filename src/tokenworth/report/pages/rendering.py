"""From a template and its values to one self-contained HTML file that needs no network.

A content security policy allows only the scripts written here (by a nonce) and no request of any kind, so that text
from a data set or a model could not act even if it were not escaped; it is escaped as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenworth.errors import TokenworthError
from tokenworth.report.displayed_values import facts
from tokenworth.report.pages.theme import Panel
from tokenworth.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"
Details = list[tuple[str, list[tuple[str, str]]]]


def write_page(html: str, path: Path) -> Path:
    """Write under a temporary name, rename last.

    Raises:
        TokenworthError: the file cannot be written.
    """
    if path.is_dir():
        raise TokenworthError(f"{path} is a folder; name the report's file, for example {path / 'report.html'}")
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)  # a link that somebody put there is not followed
        unfinished.write_text(html, encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        _discard(unfinished)
        reason = error.strerror or str(error)
        raise TokenworthError(
            f"the report could not be written to {path} ({reason}); free some space there or name another folder"
        ) from error
    return path


def _discard(unfinished: Path) -> None:
    try:
        unfinished.unlink(missing_ok=True)
    except OSError:
        return  # the folder itself is out of reach; the message of the first error is the useful one


def drawn(panels: Iterable[Panel]) -> list[Panel]:
    """Every panel with its chart as HTML; plotly writes text into scripts with <, > and / as escapes."""
    from plotly.io import to_html

    def chart(panel: Panel) -> str:
        return to_html(
            panel.figure, full_html=False, include_plotlyjs=False, div_id=f"chart-{panel.name}",
            default_height=f"{panel.height}px", config=_config(panel),
        )  # fmt: skip

    return [replace(panel, html=chart(panel)) if panel.figure else panel for panel in panels]


def _config(panel: Panel) -> dict[str, Any]:
    buttons = [["zoom2d", "pan2d", "resetScale2d", "toImage"]]
    return {"responsive": True, "displaylogo": False, "displayModeBar": panel.zoom, "modeBarButtons": buttons,
            "showTips": False, "plotlyServerURL": ""}  # fmt: skip


def render(template: str, **values: Any) -> str:
    """The whole page of a template; `title` is among the values."""
    from plotly.offline import get_plotlyjs

    environment = _environment()
    main = environment.get_template(template).render(values)
    nonce = hashlib.sha256(main.encode()).hexdigest()[:32]  # no text inside the page can know the hash of the page
    for start in ("<script>", '<script type="text/javascript">'):  # of charts, as two versions of plotly write them
        main = main.replace(start, f'<script nonce="{nonce}">')  # all other text is escaped
    page = environment.get_template("page.html.j2")
    return page.render(
        title=values["title"], main=main, nonce=nonce, plotly=get_plotlyjs(), version=__version__,
        style=_source("style.css"), script=_source("page.js"),
    )  # fmt: skip


def details(
    parts: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]],
) -> Details:
    """Named groups of facts without those to skip; empty groups are left out."""
    return [(name, facts(values or {}, skip)) for name, (values, skip) in parts.items() if values]


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def _source(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
