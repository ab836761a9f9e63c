"""The one order of every page: what its sections are for, declared here and stated by each as `data-role`."""

from __future__ import annotations

import re
from collections.abc import Sequence

ROLES = {
    "answer": "what a decision needs, in words, beside what it is to be compared with",
    "evidence": "the figures and charts the answer rests on",
    "doubts": "what not to trust, and why",
    "detail": "everything else that was measured",
    "provenance": "the command, the settings, the versions",
}
"""By name, in the order in which a page has them; several sections may have one role."""
DOUBTS, PROVENANCE = "What not to trust here", "Where this comes from"
"""What the sections of these roles are called on every page."""
NEEDED = ("answer", "evidence", "provenance")
"""What no page is without."""

_ROLE = re.compile(r'<(?:section|div)[^<>]* data-role="([a-z]+)"')


def roles_of(html: str) -> list[str]:
    """The role of every section of a page, from its beginning; text of data sets is escaped and names none."""
    return _ROLE.findall(html)


def is_ordered(roles: Sequence[str]) -> bool:
    """Whether every needed role is there, none stands before one that comes earlier, and answer and provenance are
    there once.
    """
    places = [[*ROLES].index(role) for role in roles]
    once = all(roles.count(role) == 1 for role in ("answer", "provenance"))
    return once and places == sorted(places) and set(NEEDED) <= set(roles)
