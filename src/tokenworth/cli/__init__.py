"""The command line: parse, call, print.  Exit code 0 done, 1 failed, 2 misused, 130 or 143 interrupted."""

from tokenworth.cli.app import main

__all__ = ["main"]
