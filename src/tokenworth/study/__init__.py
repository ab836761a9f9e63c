"""Studies: a grid of backbones, tasks, routes, seeds and settings, run as cells that are their own keys."""

from tokenworth.study.grid import Cell, Study
from tokenworth.study.layer_and_k import Choice, Sweep, choose, chosen_relations, sweeps
from tokenworth.study.local_engine import run_local
from tokenworth.study.published_relations import Relation, beside_published, relations, row_means
from tokenworth.study.ray_engine import run_on_ray
from tokenworth.study.results_table import begun_table, by_route, cell_table, read_table
from tokenworth.study.study_file import load_study, shipped_studies
from tokenworth.study.study_store import StudyStore

__all__ = [
    "Cell",
    "Choice",
    "Relation",
    "Study",
    "StudyStore",
    "Sweep",
    "begun_table",
    "beside_published",
    "by_route",
    "cell_table",
    "choose",
    "chosen_relations",
    "load_study",
    "read_table",
    "relations",
    "row_means",
    "run_local",
    "run_on_ray",
    "shipped_studies",
    "sweeps",
]
