"""The kinds of results: by which file each is known, what the index reads of it, and who describes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tokenworth.base.schema import COUNT, Shape, mistake_in, read_text
from tokenworth.errors import TokenworthError, first_line
from tokenworth.report.index import labelled_results as labelled
from tokenworth.report.index import training_results as trained
from tokenworth.report.index.index_entry import Described

PLURALS = {
    "assessment": "assessments",
    "ranking": "rankings",
    "decision": "decisions",
    "run": "runs",
    "study": "studies",
    "trace": "traces",
    "pretraining": "pretraining runs",
    "mixture": "mixtures",
    "corpus": "corpora",
}
"""By kind, in reading order."""
_MOST_BYTES = 500_000_000
_KEY = re.compile(r'\n "([^"\\]+)": ')
"""The start of a field of a result: `Result.to_json` indents by one blank a level, and no text holds a line break."""


@dataclass(frozen=True, slots=True)
class ResultKind:
    """How a kind of result is known and read."""

    name: str
    file: str
    """Name of its file."""
    holds: str
    """What the file holds, for sentences."""
    remedy: str
    """What to do where it cannot be read, for sentences."""
    schema: int
    """The highest that is read."""
    shape: dict[str, Shape]
    """What is read of it; the rest of the file is passed over."""
    describe: Callable[[Any, Path], Described]
    pages: tuple[str, ...] = ("report.html",)
    """Names its page may have."""

    def read(self, path: Path) -> Described:
        """What the file says.

        Raises:
            TokenworthError: it cannot be read, is cut short, holds something else, or was written by a newer version.
        """
        failure = f"{path} holds no {self.holds}"
        if path.stat().st_size > _MOST_BYTES:
            raise TokenworthError(f"{failure} (it is larger than {_MOST_BYTES // 1_000_000} MB); {self.remedy}")
        content = self._content(read_text(path, failure, self.remedy), failure)
        if (mistake := mistake_in(content, {**self.shape, "schema?": COUNT})) is not None:
            raise TokenworthError(f"{failure} that can be used: {mistake}; {self.remedy}")
        if content.get("schema", 0) > self.schema:
            raise TokenworthError(
                f"{failure} that can be used: its schema is {content['schema']} and this version of tokenworth reads "
                f"{self.schema} at most; install a newer one"
            )
        return self.describe(content, path.parent)

    def _content(self, text: str, failure: str) -> Any:
        names = {"schema", *(name.removesuffix("?") for name in self.shape)}
        if (parts := stated_parts(text, names)) is not None:
            return parts
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TokenworthError(f"{failure} ({first_line(error)}); {self.remedy}") from error


def stated_parts(text: str, names: Collection[str]) -> dict[str, Any] | None:
    """Some fields of a result without those between them; None where the text is not laid out as `to_json` does it.

    An assessment is mostly curves and layers, which the index does not show: most of the time of reading it is theirs.
    """
    if not (text.startswith('{\n "') and text.rstrip().endswith("\n}")):
        return None
    keys = list(_KEY.finditer(text))
    ends = [match.start() for match in keys[1:]] + [text.rindex("\n}")]
    try:
        return {
            match[1]: json.loads(text[match.end() : end].rstrip().removesuffix(","))
            for match, end in zip(keys, ends, strict=True)
            if match[1] in names
        }
    except (ValueError, RecursionError):
        return None


@cache
def result_kinds() -> dict[str, ResultKind]:
    """By the name of the file; the classes that state it are imported when the first index is made."""
    from tokenworth.adaptation import AdaptResult
    from tokenworth.assessment import Assessment, Ranking
    from tokenworth.corpus.output.build_report import SCHEMA
    from tokenworth.decision import Decision
    from tokenworth.pretraining import PretrainRun
    from tokenworth.tracing import Trace
    from tokenworth.tracing.trace_result import PAGE

    def kind(name: str, result: Any, shape: dict[str, Shape], describe: Any, *pages: str) -> ResultKind:
        said = (result.FILE, result.HOLDS, result.REMEDY, result.schema)
        return ResultKind(name, *said, shape, describe, (*pages, "report.html"))

    corpus = ("report.json", "report of a corpus", "run tokenworth corpus build again", SCHEMA)
    mixture = ("mixture.json", "weights of a mixture", "run tokenworth mixture again", 1)
    kinds = (
        kind("assessment", Assessment, labelled.ASSESSMENT, labelled.assessment),
        kind("ranking", Ranking, labelled.RANKING, labelled.ranking),
        kind("decision", Decision, labelled.DECISION, labelled.decision),
        kind("run", AdaptResult, labelled.RUN, labelled.run),
        kind("trace", Trace, trained.TRACE, trained.trace, PAGE),
        kind("pretraining", PretrainRun, trained.PRETRAINING, trained.pretraining),
        ResultKind("mixture", *mixture, trained.MIXTURE, trained.mixture),
        ResultKind("corpus", *corpus, trained.CORPUS, trained.corpus),
    )
    return {each.file: each for each in kinds}
