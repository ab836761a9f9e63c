"""Studies: a grid of backbones, tasks, routes, seeds and settings, run as cells that are their own keys."""

from tokenworth.study.grid import Cell, Study
from tokenworth.study.local import run_local
from tokenworth.study.reading import load_study, shipped_studies
from tokenworth.study.store import StudyStore
from tokenworth.study.table import by_route, cell_table, read_table

__all__ = [
    "Cell",
    "Study",
    "StudyStore",
    "by_route",
    "cell_table",
    "load_study",
    "read_table",
    "run_local",
    "shipped_studies",
]
