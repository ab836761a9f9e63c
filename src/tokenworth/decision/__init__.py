"""The decision: what each route would bring and cost on a task, learned from finished cells, and which to take."""

from tokenworth.decision.calibration import calibration_of, shipped_calibration
from tokenworth.decision.decide_routes import decide
from tokenworth.decision.decision_result import Decision

__all__ = ["Decision", "calibration_of", "decide", "shipped_calibration"]
