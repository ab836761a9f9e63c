"""The decision: what each route would bring and cost on a task, learned from finished cells, and which to take."""

from tokenworth.decision.calibration import calibration_of, shipped_calibration
from tokenworth.decision.result import Decision
from tokenworth.decision.run import decide

__all__ = ["Decision", "calibration_of", "decide", "shipped_calibration"]
