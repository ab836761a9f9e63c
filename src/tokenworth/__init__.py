"""Is next-token pretraining, and the adaptation after it, worth its cost for your text-classification task?

    import tokenworth as tw

    task = tw.load_task("reviews.csv")
    assessment = tw.assess("Qwen/Qwen2-0.5B", task)
    assessment.table()
    tw.write_report(assessment, "report.html")

Importing does nothing but find names: each one is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth import scores as scores
    from tokenworth.adaptation import (
        AdaptConfig as AdaptConfig,
    )
    from tokenworth.adaptation import (
        AdaptResult as AdaptResult,
    )
    from tokenworth.adaptation import (
        Classifier as Classifier,
    )
    from tokenworth.adaptation import (
        adapt as adapt,
    )
    from tokenworth.adaptation import (
        load_classifier as load_classifier,
    )
    from tokenworth.adaptation import (
        suggest as suggest,
    )
    from tokenworth.assessment import Assessment as Assessment
    from tokenworth.assessment import Ranking as Ranking
    from tokenworth.assessment import assess as assess
    from tokenworth.assessment import rank as rank
    from tokenworth.backbones import Backbone as Backbone
    from tokenworth.backbones import load_backbone as load_backbone
    from tokenworth.decision import Decision as Decision
    from tokenworth.decision import decide as decide
    from tokenworth.errors import (
        AdaptError as AdaptError,
    )
    from tokenworth.errors import (
        BackboneError as BackboneError,
    )
    from tokenworth.errors import (
        EncodeError as EncodeError,
    )
    from tokenworth.errors import (
        EndpointError as EndpointError,
    )
    from tokenworth.errors import (
        PretrainError as PretrainError,
    )
    from tokenworth.errors import (
        SettingError as SettingError,
    )
    from tokenworth.errors import (
        TaskError as TaskError,
    )
    from tokenworth.errors import (
        TokenworthError as TokenworthError,
    )
    from tokenworth.pretraining import PretrainRun as PretrainRun
    from tokenworth.pretraining import pretrain as pretrain
    from tokenworth.report import write_index as write_index
    from tokenworth.report import write_report as write_report
    from tokenworth.tasks import Task as Task
    from tokenworth.tasks import load_task as load_task
    from tokenworth.tracing import Trace as Trace
    from tokenworth.tracing import trace as trace
    from tokenworth.version import __version__ as __version__

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        ".adaptation": "AdaptConfig AdaptResult Classifier adapt load_classifier suggest",
        ".assessment": "Assessment Ranking assess rank",
        ".backbones": "Backbone load_backbone",
        ".decision": "Decision decide",
        ".errors": "AdaptError BackboneError EncodeError EndpointError PretrainError SettingError TaskError "
        "TokenworthError",
        ".pretraining": "PretrainRun pretrain",
        ".report": "write_index write_report",
        ".scores": "scores",
        ".tasks": "Task load_task",
        ".tracing": "Trace trace",
        ".version": "__version__",
    },
)
