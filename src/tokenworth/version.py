"""The version, and that of the numbers, in a module of its own so that nothing has to import the package to read it."""

__version__ = "0.2.0"

NUMERICS = 8
"""Raised with every entry under "Changed numbers" in CHANGELOG.md.

It is part of the key of everything that is kept (features, cells of studies and traces, runs with their trials, stages
of a corpus), so that numbers of two kinds are never mixed: what an earlier version kept is made again.  1 stands for
the numbers of 0.1.0 as it was first published, when no key held this.
"""
