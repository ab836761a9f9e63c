"""The trace of perception along a pretraining run: was next-token pretraining worth its cost for these tasks?"""

from tokenworth.tracing.run_reader import Checkpoint, Run, read_run
from tokenworth.tracing.trace_result import Trace
from tokenworth.tracing.trace_run import trace

__all__ = ["Checkpoint", "Run", "Trace", "read_run", "trace"]
