"""The decision: what each route would bring and cost on a task, learned from finished cells, and which to take."""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.decision.calibration import calibration_of as calibration_of
    from tokenworth.decision.calibration import shipped_calibration as shipped_calibration
    from tokenworth.decision.decide_routes import decide as decide
    from tokenworth.decision.decision_result import Decision as Decision

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        ".calibration": "calibration_of shipped_calibration",
        ".decide_routes": "decide",
        ".decision_result": "Decision",
    },
)
