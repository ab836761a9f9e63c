"""Routes that fit something: bag of words, prompt, probe, LoRA, full fine-tuning, training from random weights."""

from tokenworth.adaptation.adapt_route import adapt
from tokenworth.adaptation.route_settings import ROUTES, AdaptConfig, make_config
from tokenworth.adaptation.storage.adapt_result import AdaptResult
from tokenworth.adaptation.storage.saved_classifier import Classifier, load_classifier

__all__ = ["ROUTES", "AdaptConfig", "AdaptResult", "Classifier", "adapt", "load_classifier", "make_config"]
