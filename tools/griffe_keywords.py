"""For mkdocstrings: a call whose keywords are the fields of a settings class is shown with them."""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import MISSING
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
                    default=None if setting.default is MISSING else repr(setting.default),
                )
                for setting in settings
            )
        )
        assert func.docstring is not None, "public calls have one"
        func.docstring.value = _with_returns(getattr(module, func.name))


def _takes(setting: Setting) -> str:
    return ", ".join(filter(None, (setting.kind or type_text(setting.hint), setting.bounds, setting.unit)))


def _with_returns(call: Any) -> str:
    """The docstring, with what comes back in the words of its class; mkdocstrings adds the type."""
    head, mark, tail = call.__doc__.partition("\n\nRaises:\n")
    returned = inspect.signature(call).return_annotation
    said = (inspect.getdoc(returned) or "").split("\n\n")[0] if inspect.isclass(returned) else ""
    section = "\n\nReturns:\n    " + " ".join(said.split()) if said and "\nReturns:\n" not in head else ""
    return head + section + mark + tail
