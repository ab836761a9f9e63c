"""Routes that fit something: bag of words, prompt, probe, LoRA, full fine-tuning, training from random weights."""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.adaptation.adapt_route import adapt as adapt
    from tokenworth.adaptation.label_suggestions import suggest as suggest
    from tokenworth.adaptation.route_names import ROUTES as ROUTES
    from tokenworth.adaptation.route_names import Route as Route
    from tokenworth.adaptation.route_settings import AdaptConfig as AdaptConfig
    from tokenworth.adaptation.route_settings import make_config as make_config
    from tokenworth.adaptation.storage.adapt_result import AdaptResult as AdaptResult
    from tokenworth.adaptation.storage.saved_classifier import Classifier as Classifier
    from tokenworth.adaptation.storage.saved_classifier import load_classifier as load_classifier

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        ".adapt_route": "adapt",
        ".label_suggestions": "suggest",
        ".route_names": "ROUTES Route",
        ".route_settings": "AdaptConfig make_config",
        ".storage.adapt_result": "AdaptResult",
        ".storage.saved_classifier": "Classifier load_classifier",
    },
)
