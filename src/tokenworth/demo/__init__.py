"""A small story from end to end, offline: pretrain, assess, decide, adapt, report."""

from tokenworth.demo.demo_run import Demo

__all__ = ["Demo"]
