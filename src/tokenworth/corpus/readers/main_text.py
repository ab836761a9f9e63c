"""Main text of a page without navigation, scripts and advertisements; text of LaTeX without comments and preamble."""

from __future__ import annotations

import re
from typing import Any

from tokenworth.base.keywords import known_keywords
from tokenworth.corpus.extras import library

_DEEPEST = 800
"""Nested elements up to which the careful way is taken; beyond, the parser it uses gives up without a word."""
_TAG = re.compile(r"<(/?)([a-zA-Z][\w:-]*)([^<>]*)>")
_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "li", "link", "meta", "p", "source", "track", "wbr"]
)
_CELL, _LIST = re.compile(r"<t[dh]\b", re.IGNORECASE), re.compile(r"<(?:li|dt|dd)\b", re.IGNORECASE)
_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%.*\n?")
_VERBATIM = re.compile(r"\\begin\{comment\}.*?\\end\{comment\}", re.DOTALL)
_BODY = re.compile(r"\\begin\{document\}(.*?)(?:\\end\{document\}|\Z)", re.DOTALL)
_LINES = re.compile(r"\n{3,}")


@known_keywords
def extract_text(html: str, *, fast: bool = False) -> str:
    """The main text of an HTML page as plain text, paragraphs parted by line breaks; "" where there is none.

    Args:
        html: the page's source.
        fast: about ten times as fast, with more of what surrounds the text left in.

    Raises:
        SettingError: trafilatura (or, with `fast`, resiliparse) is not installed.
    """
    if fast or depth(html) > _DEEPEST:
        return _fast(html)
    trafilatura = library("trafilatura", "extracting text from HTML")
    try:
        page = _with_lists_in_cells(html, trafilatura) if _CELL.search(html) and _LIST.search(html) else html
        text = trafilatura.extract(page, include_comments=False, include_tables=True, deduplicate=False)
    except (RecursionError, ValueError):  # what the parser cannot take is left to the one that can
        return _fast(html)
    return (text or "").strip()


def _with_lists_in_cells(html: str, trafilatura: Any) -> Any:
    """The page as a tree, the lists in its table cells made paragraphs: the library loses lists there."""
    tree = trafilatura.load_html(html)
    if tree is None:
        return html
    for part in tree.xpath("(.//td|.//th)//*[self::ul or self::ol or self::dl]"):
        if _is_menu(part):
            continue
        part.tag = "div"
        for item in part.xpath("./li | ./dt | ./dd"):
            item.tag = "p"
        if part.tail and part.tail.strip():  # text behind an element is lost, too
            behind = part.makeelement("p")
            behind.text, part.tail = part.tail, None
            part.addnext(behind)
    return tree


def _is_menu(part: Any) -> bool:
    """A list of which most is links, which is no text outside tables either."""
    linked = sum(len("".join(link.itertext()).strip()) for link in part.iter("a"))
    return 2 * linked > len("".join(part.itertext()).strip())


def _fast(html: str) -> str:
    module = library("resiliparse.extract.html2text", "extracting text from HTML fast")
    text: str = module.extract_plain_text(html, main_content=True, alt_texts=False, preserve_formatting=True)
    return text.strip()


def depth(html: str) -> int:
    """Elements that are open at once at most, as the tags are written; those that need no end are not counted."""
    if html.count("<") <= _DEEPEST:
        return 0
    open_now = most = 0
    for match in _TAG.finditer(html):
        if match[2].lower() in _VOID or match[3].endswith("/"):
            continue
        open_now = max(0, open_now - 1) if match[1] else open_now + 1
        most = max(most, open_now)
    return most


def plain_latex(text: str) -> str:
    """The document environment of LaTeX without comments; a file that has none as a whole."""
    text = _VERBATIM.sub("", text)
    text = _COMMENT.sub(r"\1", text)
    body = _BODY.search(text)
    return _LINES.sub("\n\n", body[1] if body else text).strip()
