"""Closed-form scores of streaming moments: arrays in, numbers out.  No model, no file formats but the moments' own.

    context = ContextMoments(dim).update(states, mask)        # (B, T, D), (B, T)
    pooled = PooledMoments(dim, n_classes).update(z, labels)  # (B, D), (B,)
    retained(context, pooled)                                 # (D,) label signal the best k directions keep

The mathematics, with symbols and sources, is in docs/scores.md.
"""

from tokenworth.scores.context import ContextMoments
from tokenworth.scores.curves import first_reaching, log2_area
from tokenworth.scores.hscore import hscore, ledoit_wolf_shrinkage
from tokenworth.scores.jackknife import Interval, jackknife
from tokenworth.scores.logme import logme, why_no_logme
from tokenworth.scores.ntps import ar_r2, ntps, ntps_curve
from tokenworth.scores.pooled import PooledMoments
from tokenworth.scores.retained import excess_loss, excess_loss_bounds, retained
from tokenworth.scores.ridge import Ridge, ridge

__all__ = [
    "ContextMoments",
    "Interval",
    "PooledMoments",
    "Ridge",
    "ar_r2",
    "excess_loss",
    "excess_loss_bounds",
    "first_reaching",
    "hscore",
    "jackknife",
    "ledoit_wolf_shrinkage",
    "log2_area",
    "logme",
    "ntps",
    "ntps_curve",
    "retained",
    "ridge",
    "why_no_logme",
]
