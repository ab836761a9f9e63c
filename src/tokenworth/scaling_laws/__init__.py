"""Scaling laws fitted to finished runs, and what to train with a budget."""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.scaling_laws.loss_fit import ScalingFit as ScalingFit
    from tokenworth.scaling_laws.loss_fit import fit_scaling as fit_scaling
    from tokenworth.scaling_laws.loss_fit import isoflop_minima as isoflop_minima
    from tokenworth.scaling_laws.run_table import read_runs as read_runs
    from tokenworth.scaling_laws.training_plan import Plan as Plan
    from tokenworth.scaling_laws.training_plan import plans as plans

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        ".loss_fit": "ScalingFit fit_scaling isoflop_minima",
        ".run_table": "read_runs",
        ".training_plan": "Plan plans",
    },
)
