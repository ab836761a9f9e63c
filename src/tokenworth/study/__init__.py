"""Studies: a grid of backbones, tasks, routes, seeds and settings, run as cells that are their own keys."""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.study.grid import Cell as Cell
    from tokenworth.study.grid import Study as Study
    from tokenworth.study.layer_and_k import Choice as Choice
    from tokenworth.study.layer_and_k import Sweep as Sweep
    from tokenworth.study.layer_and_k import choose as choose
    from tokenworth.study.layer_and_k import chosen_relations as chosen_relations
    from tokenworth.study.layer_and_k import sweeps as sweeps
    from tokenworth.study.local_engine import run_local as run_local
    from tokenworth.study.published_relations import Relation as Relation
    from tokenworth.study.published_relations import beside_published as beside_published
    from tokenworth.study.published_relations import relations as relations
    from tokenworth.study.published_relations import row_means as row_means
    from tokenworth.study.ray_engine import run_on_ray as run_on_ray
    from tokenworth.study.results_table import begun_table as begun_table
    from tokenworth.study.results_table import by_route as by_route
    from tokenworth.study.results_table import cell_table as cell_table
    from tokenworth.study.results_table import read_table as read_table
    from tokenworth.study.study_file import load_study as load_study
    from tokenworth.study.study_file import shipped_studies as shipped_studies
    from tokenworth.study.study_store import StudyStore as StudyStore

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        ".grid": "Cell Study",
        ".layer_and_k": "Choice Sweep choose chosen_relations sweeps",
        ".local_engine": "run_local",
        ".published_relations": "Relation beside_published relations row_means",
        ".ray_engine": "run_on_ray",
        ".results_table": "begun_table by_route cell_table read_table",
        ".study_file": "load_study shipped_studies",
        ".study_store": "StudyStore",
    },
)
