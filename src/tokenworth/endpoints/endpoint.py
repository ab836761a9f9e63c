"""A served model that questions are put to: each distinct one once, its answer kept, its price counted.

question -> key -> kept answer, or the server's, several under way at a time -> ledger -> answers in order
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from tokenworth.base.aliases import Progress
from tokenworth.base.cell_store import content_hash
from tokenworth.endpoints.answer_log import AnswerLog
from tokenworth.endpoints.endpoint_settings import Address, EndpointSettings
from tokenworth.endpoints.http_client import Client
from tokenworth.endpoints.ledger import Ledger, Prices
from tokenworth.endpoints.reply import Refusal, Reply

T = TypeVar("T")
_log = logging.getLogger("tokenworth")


@dataclass(frozen=True, slots=True)
class Question:
    """What is sent."""

    path: str
    """Below the URL: /chat/completions or /completions."""
    body: dict[str, Any] = field(hash=False)

    @property
    def key(self) -> str:
        """Stands for the question among the kept answers; nothing of its text can be read from it."""
        return content_hash([self.path, self.body])[:32]

    @property
    def characters(self) -> int:
        """Of all that the model reads."""
        turns = self.body.get("messages", [])
        return len(self.body.get("prompt", "")) + sum(len(turn["content"]) for turn in turns)

    @property
    def most_written(self) -> int:
        """Tokens that the answer may have."""
        return int(self.body["max_tokens"])


class Endpoint:
    """One served model, as one run asks it."""

    def __init__(
        self, address: Address, settings: EndpointSettings, folder: Path | None, progress: Progress | None = None
    ) -> None:
        """Find what is kept; nothing is sent.

        Args:
            address: of the model.
            settings: how it is asked.
            folder: where answers are kept; None keeps none.
            progress: called as progress("ask", done, total).
        """
        self.address, self.settings = address, settings
        self.ledger = Ledger(Prices(settings.price_in, settings.price_out), settings.budget)
        self.listed: list[str] = []
        """Models that the server names."""
        self._log, self._progress = AnswerLog(folder, address.fingerprint), progress
        self._counted: set[str] = set()
        self._greeted = False

    def ask(self, questions: list[Question], **changes: Any) -> list[Reply | Refusal]:
        """Answers in the order of the questions.

        Args:
            questions: those that are equal are asked once.
            changes: settings that differ for these.

        Raises:
            EndpointError: no server, a refused key, no answer after all retries, or the budget ends.
        """
        missing = {question.key: question for question in self.unanswered(questions)}
        kept = {question.key: self._log.find(question.key) for question in questions}
        answers: dict[str, Reply | Refusal] = {key: reply for key, reply in kept.items() if reply is not None}
        if missing:
            try:
                answers |= _run(self._ask_all(missing, replace(self.settings, **changes)))
            finally:
                self._log.close()
        return [answers[question.key] for question in questions]

    def unanswered(self, questions: list[Question]) -> list[Question]:
        """Distinct questions whose answers are not kept; those that are kept count in the ledger from now on."""
        waiting = list[Question]()
        for key, question in {question.key: question for question in questions}.items():
            if (reply := self._log.find(key)) is None:
                waiting.append(question)
            else:
                self._count(key, question, reply, found=True)
        return waiting

    def predicted(self, questions: list[Question]) -> float:
        """Money that these are predicted to cost beside what was paid; 0 without prices."""
        characters = sum(question.characters for question in questions)
        return self.ledger.predicted(characters, sum(question.most_written for question in questions))

    async def _ask_all(self, missing: dict[str, Question], settings: EndpointSettings) -> dict[str, Reply | Refusal]:
        answers: dict[str, Reply | Refusal] = {}
        under_way: dict[str, Question] = {}
        waiting = iter(missing.items())  # one for all workers

        async def work() -> None:
            for key, question in waiting:
                under_way[key] = question
                self.ledger.check(self.predicted(list(under_way.values())), len(missing) - len(answers))
                answers[key] = answer = await client.ask(question.path, question.body)
                del under_way[key]
                if isinstance(answer, Reply):
                    self._log.keep(key, answer)
                    self._count(key, question, answer, found=False)
                if self._progress is not None:
                    self._progress("ask", len(answers), len(missing))

        async with Client(self.address, settings) as client:
            if not self._greeted:
                _log.info(f"asking {self.address.model} at {self.address.url}")
                self.listed, self._greeted = await client.models(), True
            try:
                await _together([work() for _ in range(min(settings.concurrency, len(missing)))], waiting, settings)
            finally:
                self.ledger.retries += client.retries
        return answers

    def _count(self, key: str, question: Question, reply: Reply, *, found: bool) -> None:
        if key not in self._counted:
            self._counted.add(key)
            self.ledger.add(reply, question.characters, found=found)


async def _together(
    works: list[Coroutine[Any, Any, None]], waiting: Iterator[object], settings: EndpointSettings
) -> None:
    """Until all have ended.  After a failure nothing more is begun; what is under way is paid for, so it may end."""
    workers = [asyncio.ensure_future(work) for work in works]
    try:
        done, left = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
        if left:
            deque(waiting, maxlen=0)
            await asyncio.wait(left, timeout=settings.timeout)
        for worker in done:
            worker.result()
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """The result of asynchronous work, also where a loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()
