"""How large the clusters of duplicates are."""

from __future__ import annotations

from typing import Any

import numpy as np

_BUCKETS = (2, 3, 5, 10, 100, 1000)


def cluster_sizes(cluster: np.ndarray) -> dict[str, Any]:
    """How many clusters of two and more there are, the largest, and how many by size."""
    sizes = np.bincount(cluster, minlength=len(cluster)) if len(cluster) else np.zeros(0, np.int64)
    sizes = sizes[sizes > 1]
    edges = [*_BUCKETS, None]
    names = [f"{low}" if high == low + 1 else f"{low}-{high - 1}" if high else f"{low}+"
             for low, high in zip(_BUCKETS, edges[1:], strict=True)]  # fmt: skip
    counts = [
        int(((sizes >= low) & (sizes < (high or np.inf))).sum()) for low, high in zip(_BUCKETS, edges[1:], strict=True)
    ]
    return {
        "clusters": len(sizes),
        "documents": int(sizes.sum()),
        "largest": int(sizes.max(initial=0)),
        "sizes": dict(zip(names, counts, strict=True)),
    }
