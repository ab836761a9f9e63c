"""From a template and its values to one self-contained HTML file that needs no network.

A content security policy allows only the scripts written here (by a nonce) and no request of any kind, so that text
from a data set or a model could not act even if it were not escaped; it is escaped as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenworth.adaptation.route_names import route_title
from tokenworth.errors import TokenworthError
from tokenworth.report.displayed_values import (
    bound,
    capital,
    clean,
    cut,
    duration,
    facts,
    flat,
    short,
    shown,
    tight,
    tokens_text,
)
from tokenworth.report.pages.page_order import DOUBTS, PROVENANCE, is_ordered, roles_of
from tokenworth.report.pages.theme import Panel
from tokenworth.version import __version__

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES = Path(__file__).parent / "templates"
_FILTERS = (bound, capital, clean, cut, duration, facts, flat, route_title, short, shown, tight, tokens_text)


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
        with suppress(
            OSError
        ):  # the folder itself may be out of reach; the message of the first error is the useful one
            unfinished.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise TokenworthError(
            f"the report could not be written to {path} ({reason}); free some space there or name another folder"
        ) from error
    return path


def draw(panel: Panel) -> Panel:
    """With its chart as HTML; plotly writes text into scripts with <, > and / as escapes."""
    if panel.figure is None:
        return panel
    from plotly.io import to_html

    look = {"full_html": False, "include_plotlyjs": False, "default_height": f"{panel.height}px"}
    chart = to_html(panel.figure, div_id=f"chart-{panel.name}", config=_config(panel), **look)
    return replace(panel, html=chart)


def _config(panel: Panel) -> dict[str, Any]:
    quiet = {"responsive": True, "displaylogo": False, "showTips": False, "plotlyServerURL": ""}
    buttons = [["zoom2d", "pan2d", "resetScale2d", "toImage"]]
    return {**quiet, "displayModeBar": panel.zoom, "modeBarButtons": buttons}


def render(template: str, title: str, **values: Any) -> str:
    """The whole page of a template, which takes what it shows from results and from modules of functions."""
    return _whole_page(template, title, values, scripts=("page.js",), library=_charts_library())


def render_without_library(template: str, title: str, script: str, **values: Any) -> str:
    """As `render`, of a page whose charts need no library, with a script of its own."""
    return _whole_page(template, title, values, scripts=("page.js", script), library="")


def _whole_page(template: str, title: str, values: Mapping[str, Any], *, scripts: Sequence[str], library: str) -> str:
    environment = _environment()
    main = environment.get_template(template).render(title=title, **values)
    assert is_ordered(roles_of(main)), f"{template}: {roles_of(main)}"
    nonce = hashlib.sha256(main.encode()).hexdigest()[:32]  # no text inside the page can know the hash of the page
    for start in ("<script>", '<script type="text/javascript">'):  # of charts, as two versions of plotly write them
        main = main.replace(start, f'<script nonce="{nonce}">')  # all other text is escaped
    style, *sources = ((_TEMPLATES / file).read_text(encoding="utf-8") for file in ("style.css", *scripts))
    around = {"title": title, "version": __version__, "style": style, "script": "\n".join(sources)}
    around |= {"plotly": library}
    return environment.get_template("page.html.j2").render(main=main, nonce=nonce, **around)


def _charts_library() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.loader = FileSystemLoader(_TEMPLATES)
    environment.globals |= {"DOUBTS": DOUBTS, "PROVENANCE": PROVENANCE}
    environment.filters |= {words.__name__: words for words in _FILTERS}
    environment.filters |= {"draw": draw, "thousands": "{:,}".format, "percent": "{:.2%}".format}
    return environment
