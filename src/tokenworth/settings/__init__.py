"""Settings: a YAML file, a mapping or arguments -> values of the right type within their bounds, or every mistake."""

from tokenworth.settings.arguments import checked_arguments, setting_names, settings_for
from tokenworth.settings.bounds import (
    AsName,
    Bounds,
    ByComma,
    Count,
    FolderName,
    Fraction,
    Names,
    Natural,
    NonNegative,
    OneOf,
    OutFolder,
    Positive,
    Seed,
    Share,
)
from tokenworth.settings.checks import (
    build,
    check_fields,
    check_values,
    make,
    refuse_unknown,
    unknown_names,
    with_changes,
)
from tokenworth.settings.environment import number_of, whole_number_of
from tokenworth.settings.types import Misfit, fitting
from tokenworth.settings.wording import nearest, quoted, refusal
from tokenworth.settings.yaml_file import Section, exists, read_settings

__all__ = [
    "AsName",
    "Bounds",
    "ByComma",
    "Count",
    "FolderName",
    "Fraction",
    "Misfit",
    "Names",
    "Natural",
    "NonNegative",
    "OneOf",
    "OutFolder",
    "Positive",
    "Section",
    "Seed",
    "Share",
    "build",
    "check_fields",
    "check_values",
    "checked_arguments",
    "exists",
    "fitting",
    "make",
    "nearest",
    "number_of",
    "quoted",
    "read_settings",
    "refusal",
    "refuse_unknown",
    "setting_names",
    "settings_for",
    "unknown_names",
    "whole_number_of",
    "with_changes",
]
