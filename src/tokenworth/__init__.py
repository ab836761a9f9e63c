"""Is next-token pretraining, and the adaptation after it, worth its cost for your text-classification task?

    import tokenworth as tw

    task = tw.load_task("reviews.csv")
    assessment = tw.assess("Qwen/Qwen2-0.5B", task)
    assessment.table()
    tw.write_report(assessment, "report.html")

Importing does nothing but find names: each one is loaded when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tokenworth.version import __version__

if TYPE_CHECKING:
    from tokenworth import scores
    from tokenworth.adaptation import AdaptConfig, AdaptResult, Classifier, adapt, load_classifier
    from tokenworth.assessment import Assessment, Ranking, assess, rank
    from tokenworth.backbones import Backbone, load_backbone
    from tokenworth.decision import Decision, decide
    from tokenworth.errors import (
        AdaptError,
        BackboneError,
        EncodeError,
        PretrainError,
        SettingError,
        TaskError,
        TokenworthError,
    )
    from tokenworth.pretraining import PretrainRun, pretrain
    from tokenworth.report import write_report
    from tokenworth.tasks import Task, load_task
    from tokenworth.tracing import Trace, trace

_ROOMS = {
    "AdaptConfig": "tokenworth.adaptation",
    "AdaptError": "tokenworth.errors",
    "AdaptResult": "tokenworth.adaptation",
    "Assessment": "tokenworth.assessment",
    "Backbone": "tokenworth.backbones",
    "BackboneError": "tokenworth.errors",
    "Classifier": "tokenworth.adaptation",
    "Decision": "tokenworth.decision",
    "EncodeError": "tokenworth.errors",
    "PretrainError": "tokenworth.errors",
    "PretrainRun": "tokenworth.pretraining",
    "Ranking": "tokenworth.assessment",
    "SettingError": "tokenworth.errors",
    "Task": "tokenworth.tasks",
    "TaskError": "tokenworth.errors",
    "TokenworthError": "tokenworth.errors",
    "Trace": "tokenworth.tracing",
    "adapt": "tokenworth.adaptation",
    "assess": "tokenworth.assessment",
    "decide": "tokenworth.decision",
    "load_backbone": "tokenworth.backbones",
    "load_classifier": "tokenworth.adaptation",
    "load_task": "tokenworth.tasks",
    "pretrain": "tokenworth.pretraining",
    "rank": "tokenworth.assessment",
    "trace": "tokenworth.tracing",
    "write_report": "tokenworth.report",
}

__all__ = [
    "AdaptConfig",
    "AdaptError",
    "AdaptResult",
    "Assessment",
    "Backbone",
    "BackboneError",
    "Classifier",
    "Decision",
    "EncodeError",
    "PretrainError",
    "PretrainRun",
    "Ranking",
    "SettingError",
    "Task",
    "TaskError",
    "TokenworthError",
    "Trace",
    "__version__",
    "adapt",
    "assess",
    "decide",
    "load_backbone",
    "load_classifier",
    "load_task",
    "pretrain",
    "rank",
    "scores",
    "trace",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name == "scores":
        return import_module("tokenworth.scores")
    if name in _ROOMS:
        return getattr(import_module(_ROOMS[name]), name)
    raise AttributeError(f"module 'tokenworth' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
