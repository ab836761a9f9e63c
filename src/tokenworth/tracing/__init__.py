"""The trace of perception along a pretraining run: was next-token pretraining worth its cost for these tasks?"""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.tracing.checkpoint_settings import CheckpointChoice as CheckpointChoice
    from tokenworth.tracing.run_reader import Checkpoint as Checkpoint
    from tokenworth.tracing.run_reader import Run as Run
    from tokenworth.tracing.run_reader import read_run as read_run
    from tokenworth.tracing.trace_result import Trace as Trace
    from tokenworth.tracing.trace_run import trace as trace

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        ".checkpoint_settings": "CheckpointChoice",
        ".run_reader": "Checkpoint Run read_run",
        ".trace_result": "Trace",
        ".trace_run": "trace",
    },
)
