"""After how many tokens a route is above a reference for good.

    d_k     F1 of the route at checkpoint k minus F1 of the reference
    last    the last checkpoint with d_k <= 0

The crossing lies between `last` and the next checkpoint, where the line through both, straight in log tokens, is 0:

    log t = log t_k + (log t_{k+1} - log t_k) (-d_k) / (d_{k+1} - d_k)

So an earlier crossing that is undone later does not count.  Between 0 tokens and the first step, where there are no
logarithms, the line is straight in tokens.  Where no checkpoint is at or below the reference the route is above it
from the start; where the last one is, never within this run: these are answers, not failures, and take part in the
interval as the first checkpoint's tokens and as infinity.  Axes: B resamples, K checkpoints.
"""

from __future__ import annotations

import numpy as np

from tokenworth.base.aliases import Floats
from tokenworth.tracing.f1_curves import Curve
from tokenworth.tracing.trace_result import CrossingPoint

START, INSIDE, NEVER = "start", "inside", "never"


def crossing_tokens(tokens_K: Floats, difference_BK: Floats) -> Floats:
    """Tokens of the crossing for each row (B): those of the first checkpoint from the start, infinity for never."""
    n_rows, n_points = difference_BK.shape
    below_BK = difference_BK <= 0
    last_B = np.where(below_BK.any(1), n_points - 1 - below_BK[:, ::-1].argmax(1), -1)
    crossed_B = np.full(n_rows, np.inf)
    crossed_B[last_B == -1] = tokens_K[0]
    inside = np.flatnonzero((last_B >= 0) & (last_B < n_points - 1))
    k = last_B[inside]
    d_before, d_after = difference_BK[inside, k], difference_BK[inside, k + 1]
    low_M, high_M, share_M = tokens_K[k], tokens_K[k + 1], -d_before / (d_after - d_before)
    ratio_M = high_M / np.where(low_M > 0, low_M, high_M)
    crossed_B[inside] = np.where(low_M > 0, low_M * ratio_M**share_M, high_M * share_M)
    return crossed_B


def find_crossing(tokens: list[int], route: Curve, references: list[Curve]) -> CrossingPoint:
    """The crossing over a reference, or over the best of several, with a 95 % interval over test texts.

    Args:
        tokens: of the route's checkpoints, fewest first (K).
        route: at these checkpoints.
        references: each of K = 1.
    """
    tokens_K = np.asarray(tokens, dtype=np.float64)
    difference_1K = (route.f1_K - max(reference.f1_K[0] for reference in references))[None]
    difference_BK = route.drawn_BK - np.max([reference.drawn_BK for reference in references], axis=0)
    value = float(crossing_tokens(tokens_K, difference_1K)[0])
    drawn_B = np.sort(crossing_tokens(tokens_K, difference_BK))
    low_K, high_K = np.quantile(difference_BK, [0.025, 0.975], axis=0)
    starts = bool((difference_1K > 0).all())
    unsure = np.flatnonzero(low_K <= 0)
    sure = tokens[unsure[-1] + 1 :] if len(unsure) else tokens
    return {
        "state": START if starts else INSIDE if np.isfinite(value) else NEVER,
        "tokens": finite(value),
        "low": finite(order_statistic(drawn_B, 0.025)),
        "high": finite(order_statistic(drawn_B, 0.975)),
        "share_start": float((difference_BK > 0).all(1).mean()),
        "share_never": float(np.isinf(drawn_B).mean()),
        "sure_from": sure[0] if sure else None,
        "end": tokens[-1],
        "lead": float(difference_1K[0, -1]),
        "lead_low": float(low_K[-1]),
        "lead_high": float(high_K[-1]),
    }


def order_statistic(sorted_B: Floats, share: float) -> float:
    """The smallest value with at least this share at or below it; no mean of two, as one may be infinite."""
    return float(sorted_B[max(0, int(np.ceil(share * len(sorted_B))) - 1)])


def finite(value: float) -> float | None:
    """None for infinity."""
    return value if np.isfinite(value) else None
