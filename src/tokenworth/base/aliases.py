"""Types that many rooms use, by one name each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Facts = dict[str, Any]  # plain data that JSON can hold

Progress = Callable[[str, int, int], None]
"""Called as progress(part, done, total), in the units of the part: tokens, steps, shards, ..."""
Long = Literal["first", "last", "ends", "chunks"]
"""What is read of a text that is longer than a model takes; `encode.long_texts` has the words."""
LONG: tuple[Long, ...] = get_args(Long)
"""From the cheapest to the dearest; the first is what tokenizers do."""
