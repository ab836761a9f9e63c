"""The package's face: names that resolve, parameters that stay, and a docstring on each."""

import dataclasses
import importlib
import inspect

import pytest

import tokenworth as tw
from tokenworth.settings import Settings

ROOMS = (
    "scores",
    "tasks",
    "backbones",
    "encode",
    "probes",
    "assessment",
    "adaptation",
    "study",
    "corpus",
    "pretraining",
    "tracing",
    "measures",
    "report",
    "cli",
)
REQUIRED = object()

# Public calls that must keep these parameters, with their defaults: what is before "*" may be given by position.
CALLS = {
    "load_task": (["source"], {"text": None, "text_pair": None, "label": None, "test": None, "data": None,
                               "max_texts": None, "seed": 0}),
    "assess": (["model", "task"], {"layers": "all", "pooling": "auto", "prefix": "sum", "max_texts": None,
                                   "batch_tokens": None, "device": "auto", "dtype": "auto", "seed": 0, "out": None}),
    "adapt": (["model", "task", "route"], {"seed": 0, "config": None, "out": None}),
    "load_classifier": (["path"], {}),
    "Classifier.predict": (["self", "texts"], {}),
    "write_report": (["result", "path"], {}),
    "scores.ContextMoments": (["dim", "prefix"], {"prefix": "sum"}),
    "scores.ContextMoments.update": (["self", "states", "mask"], {}),
    "scores.ContextMoments.save": (["self", "path"], {}),
    "scores.ContextMoments.load": (["path"], {}),
    "scores.PooledMoments": (["dim", "n_classes"], {}),
    "scores.PooledMoments.update": (["self", "pooled", "labels"], {}),
    "scores.PooledMoments.save": (["self", "path"], {}),
    "scores.PooledMoments.load": (["path"], {}),
    "scores.ntps": (["context", "pooled", "k"], {"convention": "definition", "center": True, "target": "plain"}),
    "scores.retained": (["context", "pooled"], {"center": True, "adjusted": True}),
    "scores.excess_loss_bounds": (["context", "pooled", "k"], {"center": True}),
    "scores.hscore": (["pooled"], {}),
    "scores.logme": (["pooled"], {}),
}  # fmt: skip


def find(name):
    found = tw
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", CALLS)
def test_parameters_stay(name):
    positional, keywords = CALLS[name]
    parameters = inspect.signature(find(name)).parameters
    by_place = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert by_place[: len(positional)] == positional
    found = {key: parameters[key].default if key in parameters else REQUIRED for key in keywords}
    assert found == keywords


@pytest.mark.parametrize("name", CALLS)
def test_every_further_parameter_may_be_left_out(name):
    positional, keywords = CALLS[name]
    parameters = inspect.signature(find(name)).parameters
    further = {key: value for key, value in parameters.items() if key not in {*positional, *keywords}}
    assert not [key for key, value in further.items() if value.default is value.empty]


def test_every_public_name_resolves():
    for name in tw.__all__:
        assert getattr(tw, name) is not None
    assert set(dir(tw)) == set(tw.__all__)
    assert tw.__version__.count(".") == 2
    with pytest.raises(AttributeError, match="'tokenworth' has no attribute 'nonesuch'"):
        _ = tw.nonesuch


def test_the_names_the_first_page_promises_are_public():
    assert {"load_task", "assess", "rank", "write_report", "scores", "Assessment"} <= set(tw.__all__)
    assert {"table", "summary", "best_layer", "timings"} <= {*dir(tw.Assessment), *tw.Assessment.__annotations__}
    assert {"train", "test", "label_names"} <= set(tw.Task.__annotations__)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_say_what_their_public_names_do(room):
    door = importlib.import_module(f"tokenworth.{room}")
    assert door.__doc__
    public = {name: getattr(door, name) for name in door.__all__}
    callables = {name: value for name, value in public.items() if inspect.isroutine(value) or inspect.isclass(value)}
    assert callables
    assert not [name for name, value in callables.items() if not _own_docstring(name, value)]
    methods = {
        f"{name}.{key}": member
        for name, value in callables.items()
        if inspect.isclass(value)
        for key, member in vars(value).items()
        if not key.startswith("_") and inspect.isfunction(member)
    }
    assert not [name for name, member in methods.items() if not member.__doc__]


def _own_docstring(name, value):
    """A dataclass without a docstring gets its signature as one."""
    return bool(value.__doc__) and not value.__doc__.startswith(f"{name}(")


def test_errors_are_one_family_and_standard_exceptions():
    family = [tw.TaskError, tw.BackboneError, tw.EncodeError, tw.SettingError]
    assert all(issubclass(error, tw.TokenworthError) for error in family)
    assert [error.__bases__[1] for error in family] == [ValueError, ValueError, RuntimeError, ValueError]


# Rooms whose calls take settings by keyword; calls of the others are steps within a computation.
WITH_SETTINGS = (
    "adaptation", "assessment", "backbones", "corpus", "corpus.build", "corpus.audit", "decision", "measures",
    "pretraining", "report", "scaling_laws", "study", "tasks", "tracing",
)  # fmt: skip


def _with_keywords():
    """Public calls with something to leave out, and classes of settings: what a misspelt keyword would reach."""
    for room in WITH_SETTINGS:
        door = importlib.import_module(f"tokenworth.{room}")
        for name in getattr(door, "__all__", [room.rpartition(".")[2]]):
            value = getattr(door, name)
            is_call = inspect.isfunction(value) and not _takes_any(value)
            if is_call or (inspect.isclass(value) and issubclass(value, Settings)):
                parameters = inspect.signature(value).parameters.values()
                optional = [parameter.name for parameter in parameters if parameter.default is not parameter.empty]
                yield from [pytest.param(value, max(optional, key=len), id=name)] if optional else []


def _takes_any(call):
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in inspect.signature(call).parameters.values())


@pytest.mark.parametrize(("call", "keyword"), [*_with_keywords(), pytest.param(tw.write_report, "path", id="report")])
def test_a_misspelt_keyword_is_one_sentence_with_the_nearest(call, keyword):
    misspelt = keyword[:1] + keyword[2:] if len(keyword) > 3 else f"{keyword}_"
    with pytest.raises(tw.SettingError) as refused:
        call(**{misspelt: 1})
    assert f"{call.__name__} has no setting {misspelt!r}; did you mean {keyword!r}?" in str(refused.value)


def test_every_public_class_of_settings_names_the_nearest():
    public = {name for room in WITH_SETTINGS for name in dir(importlib.import_module(f"tokenworth.{room}"))}
    classes = {kind for kind in (*_with_keywords(),) if inspect.isclass(kind.values[0])}
    assert {kind.id for kind in classes} >= {name for name in public if name.endswith("Config")} >= {"AdaptConfig"}
    with pytest.raises(tw.SettingError, match=r"^AdaptConfig has no setting 'stps'; did you mean 'steps'\?$"):
        dataclasses.replace(tw.AdaptConfig(), stps=1)
    with pytest.raises(tw.SettingError, match=r"2 mistakes:\n  AdaptConfig has no setting 'stps'.*\n  lr .*"):
        tw.AdaptConfig(stps=1, lr="fast")
