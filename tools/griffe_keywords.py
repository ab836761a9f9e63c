"""For mkdocstrings: a call whose keywords are the fields of a settings class is shown with them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import griffe

sys.path.insert(0, str(Path(__file__).parent))
from reference_names import type_text

from tokenworth.settings.declarations import Setting, declared_settings


class KeywordsOf(griffe.Extension):
    """Gives functions under `keywords_of(KIND)` the parameters and the docstring that they have when they run."""

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        """Called for every function that griffe reads."""
        given = next((str(each.value) for each in func.decorators if "keywords_of(" in str(each.value)), None)
        if given is None:
            return
        module = importlib.import_module(func.module.path)
        settings = declared_settings(getattr(module, given.partition("(")[2].rstrip(")")))
        kinds = griffe.ParameterKind
        func.parameters = griffe.Parameters(
            *(
                griffe.Parameter(
                    setting.name,
                    kind=kinds.positional_or_keyword if setting.by_place else kinds.keyword_only,
                    annotation=_takes(setting),
                    default=setting.default_text or None,
                )
                for setting in settings
            )
        )
        assert func.docstring is not None, "public calls have one"
        func.docstring.value = getattr(module, func.name).__doc__


def _takes(setting: Setting) -> str:
    return ", ".join(filter(None, (setting.kind or type_text(setting.hint), setting.bounds, setting.unit)))
