"""Settings of a route with nothing left open: what it is run with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tokenworth.adaptation.route_settings import AdaptConfig, Selection
from tokenworth.base.aliases import Long
from tokenworth.settings import Count, Fraction, Positive


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedConfig(AdaptConfig):
    """Settings as a route is run with them: what was left open is decided (`recommended_settings.resolve`)."""

    steps: Count
    lr: Positive
    selection: Selection
    validation_share: Fraction

    @property
    def needs_validation(self) -> bool:
        """Whether a validation part is cut from train."""
        return (
            self.keeps_best or self.calibrate or self.tune > 0 or self.thresholds == "chosen" or self.long == "choose"
        )

    @property
    def read_of_long(self) -> Long:
        """What is read of long texts, once that is chosen."""
        assert self.long != "choose", "chosen before anything is read"
        return self.long

    @property
    def keeps_best(self) -> bool:
        """Whether the weights of the best step so far are kept beside those that learn."""
        return self.selection != "last"

    @property
    def judged_by(self) -> str:
        """The metric of the evaluations on the validation part."""
        return "log_loss" if self.selection == "lowest_loss" else self.metric

    @property
    def steps_between_evaluations(self) -> int:
        """A tenth of all where nothing else was asked for."""
        return self.eval_steps or max(1, self.steps // 10)

    def asdict(self) -> dict[str, Any]:
        """As JSON writes it: keys of cells and records of runs, in which what is off is not named."""
        kept = AdaptConfig.asdict(self)
        del kept["protocol"]  # what it stands for is there
        return {name: value for name, value in kept.items() if name != "patience" or value is not None}
