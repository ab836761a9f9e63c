"""The flow chart "which route for me" of docs/which-route.md: drawn wide, drawn for a phone, and as a list.

python tools/route_chart.py    # prints what tools/site_hooks.py puts in its place
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from textwrap import wrap

sys.path.insert(0, str(Path(__file__).parent))
from result_tables import title
from route_evidence import QUESTIONS, Leaf, Question

PLACE = "<!-- the chart -->"
"""Where it stands in the page."""
_LINE, _PAD, _GAP, _SPINE = 17.0, 10.0, 30.0, 22.0
_LETTER = {"asks": 8.3, "do": 8.3, "why": 7.3, "more": 7.3}
"""Width of a letter by class of text, at the size that site.css gives the chart and in a wide font."""
_SAYS = "Questions from top to bottom; every answer leads on, or to a route and the figure that speaks for it"


@dataclass
class Drawing:
    """A chart that grows downwards: leaves stand beside their question, or below it on a phone."""

    kind: str
    width: float
    question: float
    """Width of a question's box; it stands at the left."""
    leaf_x: float
    """Where leaves begin."""
    bottom: float = 1.0
    parts: list[str] = field(default_factory=list)

    @property
    def beside(self) -> bool:
        """Whether there is room for leaves beside their question."""
        return self.leaf_x > self.question

    def add(self, question: Question) -> None:
        """A question with its leaves, and the way on."""
        top = self.bottom
        end = top + self._box(0.5, top, self.question, _lines(self.question, asks=question.asks), "question")
        at = top if self.beside else end + _GAP
        for answer, leaves in question.ends.items():
            for n, find in enumerate(leaves):
                self._way_to_leaf(top, end, at, "" if n else answer)
                at += self._leaf(at, checked(find())) + _GAP
        self.bottom = max(end + _GAP, at)
        if question.on:
            self._path(f"M{_SPINE} {end:g}V{self.bottom - 1:g}m-4 -6l4 6l4 -6")
            self._text("answer", _SPINE + 8, self.bottom - 10, question.on)

    def _way_to_leaf(self, top: float, end: float, at: float, answer: str) -> None:
        y, right = at + 18, self.question + 0.5
        begin = f"M{right:g} {top + 18:g}H{right + 30:g}" if self.beside else f"M{_SPINE} {end:g}"
        self._path(f"{begin}V{y:g}H{self.leaf_x - 1:g}m-6 -4l6 4l-6 4")
        place = (right + 36, y - 6) if self.beside else (self.leaf_x, at - 7)
        self._text("answer", *place, answer)

    def _leaf(self, y: float, leaf: Leaf) -> float:
        width = self.width - self.leaf_x - 1
        lines = _lines(width, do=leaf.do, why=leaf.evidence, more=title(leaf.page))
        self.parts.append(f'<a href="results/{leaf.page}.html">')
        height = self._box(self.leaf_x, y, width, lines, "leaf")
        self.parts.append("</a>")
        return height

    def _box(self, x: float, y: float, width: float, lines: list[tuple[str, str]], kind: str) -> float:
        height = 2 * _PAD + _LINE * len(lines) - 2
        self.parts.append(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6"/>')
        for n, (name, text) in enumerate(lines):
            self._text(name, x + _PAD, y + _PAD + _LINE * n + 11, text)
        return height

    def _text(self, name: str, x: float, y: float, text: str) -> None:
        self.parts.append(f'<text class="{name}" x="{x:g}" y="{y:g}">{escape(text)}</text>')

    def _path(self, d: str) -> None:
        self.parts.append(f'<path class="way" d="{d}"/>')

    def svg(self) -> str:
        """The whole."""
        box = f"0 0 {self.width:g} {self.bottom - _GAP + 2:g}"
        inner = "".join(self.parts)
        return f'<svg class="route {self.kind}" viewBox="{box}" role="group" aria-label="{_SAYS}">{inner}</svg>'


def _lines(width: float, **texts: str) -> list[tuple[str, str]]:
    """Texts by their class, in lines that fit a box."""
    room = {name: int((width - 2 * _PAD) / letter) for name, letter in _LETTER.items()}
    return [(name, line) for name, text in texts.items() for line in wrap(text, room[name])]


def checked(leaf: Leaf) -> Leaf:
    """A leaf that its figures bear.

    Raises LookupError: its table says otherwise by now.
    """
    if not leaf.holds:
        raise LookupError(
            f"docs/results/{leaf.page}.md does not bear what the chart advises ({leaf.do} {leaf.evidence}); change the "
            "leaf in tools/route_evidence.py"
        )
    return leaf


def chart(questions: tuple[Question, ...] = QUESTIONS) -> str:
    """Both drawings, of which site.css shows the one that fits, then the same as a list."""
    drawings = (Drawing("wide", 800, 236, 330), Drawing("narrow", 350, 349, 46))
    for drawing in drawings:
        for question in questions:
            drawing.add(question)
    return "\n\n".join(
        [*(drawing.svg() for drawing in drawings), "## The same in words", "\n".join(_listed(questions))]
    )


def _listed(questions: tuple[Question, ...]) -> Iterator[str]:
    for question in questions:
        yield f"- **{question.asks}**" + (f" ({question.on}: go on)" if question.on else "")
        for answer, leaves in question.ends.items():
            for leaf in (find() for find in leaves):
                yield f"    - *{answer}*: {leaf.do} {leaf.evidence} [{title(leaf.page)}](results/{leaf.page}.md)"


if __name__ == "__main__":
    print(chart())
