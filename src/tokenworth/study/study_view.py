"""A study to look at: a file and the cells of its folder, or a folder alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tokenworth.errors import SettingError
from tokenworth.settings.given_paths import as_named
from tokenworth.study.grid import Study
from tokenworth.study.results_table import begun_table, cell_table
from tokenworth.study.study_file import load_study
from tokenworth.study.study_options import StudyChoice

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, slots=True)
class StudyView:
    """What is shown of a study."""

    name: str
    place: Path
    table: pd.DataFrame
    """A row a cell."""
    study: Study | None
    """None for a folder alone: what lies in it needs neither study file nor texts nor weights."""


def chosen_study(name: str, choice: StudyChoice) -> tuple[Study, Path]:
    """The cells that are asked for, and where they lie."""
    study = load_study(name, data=choice.data, models=choice.models)
    return study.only(choice.only) if choice.only else study, Path(choice.out or Path("out") / "study" / study.name)


def view_study(name: str, choice: StudyChoice) -> StudyView:
    """A study by file or name, or what lies in a folder.

    Raises:
        SettingError: a folder of which a part is asked for; or as `load_study`.
    """
    folder = Path(name)
    if not (folder / "cells").is_dir():
        study, place = chosen_study(name, choice)
        return StudyView(study.name, place, cell_table(study, place), study)
    if choice != StudyChoice():
        raise SettingError(
            f"{name} is the folder of a study, of which everything is shown; "
            "--out, --only, --data and --models go with a study file"
        )
    return StudyView(as_named(folder).name, folder, begun_table(folder), None)
