"""What answers have cost, and what those to come will: tokens as the server counts them, at a price a million.

money = (tokens_in price_in + tokens_out price_out) / 1,000,000
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tokenworth.endpoints.reply import Reply
from tokenworth.errors import EndpointError

_TOKENS_A_CHARACTER = 0.5
"""Before an answer has told: more than English takes in any tokenizer in use, less than some other scripts do."""
_SPARE = 1.1
"""Questions differ from those before them."""
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Money a million tokens; None where none was given."""

    read: float | None = None
    written: float | None = None

    def money(self, tokens_in: float, tokens_out: float) -> float | None:
        """What so many tokens cost."""
        if self.read is None:
            return None
        written = self.read if self.written is None else self.written
        return (tokens_in * self.read + tokens_out * written) / MILLION


@dataclass(slots=True)
class Ledger:
    """Of one run: every question that it has an answer to, whether paid for now or by a run before."""

    prices: Prices = field(default_factory=Prices)
    budget: float | None = None
    """Most money."""
    questions: int = 0
    found: int = 0
    """Of them, those whose answers were kept already."""
    characters: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    """From question to answer, summed."""
    retries: int = 0
    """Questions asked again; what a server made of those it did not answer, it may have counted too."""

    def add(self, reply: Reply, characters: int, *, found: bool) -> None:
        """Count an answer.  EndpointError: there is a price, and the server does not say how many tokens it took."""
        if self.prices.read is not None and (reply.tokens_in is None or reply.tokens_out is None):
            raise EndpointError(
                "the server does not say how many tokens an answer took (no usage), so a price cannot be applied; "
                "leave out price-in, price-out and budget"
            )
        self.questions += 1
        self.found += found
        self.characters += characters
        self.tokens_in += reply.tokens_in or 0
        self.tokens_out += reply.tokens_out or 0
        self.seconds += reply.seconds

    @property
    def money(self) -> float | None:
        """What all answers cost; None without prices."""
        return self.prices.money(self.tokens_in, self.tokens_out)

    def predicted(self, characters: int, written: int) -> float:
        """Money for questions of so many characters and answers of so many tokens; 0 without prices."""
        a_character = self.tokens_in / self.characters if self.tokens_in else _TOKENS_A_CHARACTER
        return _SPARE * (self.prices.money(a_character * characters, written) or 0.0)

    def check(self, ahead: float, questions: int) -> None:
        """Refuse questions that the budget does not reach for.

        Args:
            ahead: money that they are predicted to cost.
            questions: how many they are.

        Raises:
            EndpointError: they would cost more than is left.
        """
        if self.budget is None or (self.money or 0.0) + ahead <= self.budget:
            return
        raise EndpointError(
            f"{questions:,} questions would cost about {ahead:.4g} beside {self.money or 0.0:.4g} for those answered, "
            f"and the budget is {self.budget:g}; raise it, or take fewer texts (--max-texts) or shots; what was "
            "answered is kept"
        )
