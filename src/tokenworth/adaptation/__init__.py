"""Routes that fit something: bag of words, prompt, probe, LoRA, full fine-tuning, training from random weights."""

from tokenworth.adaptation.result import AdaptResult
from tokenworth.adaptation.run import adapt
from tokenworth.adaptation.saving import Classifier, load_classifier
from tokenworth.adaptation.settings import ROUTES, AdaptConfig, make_config

__all__ = ["ROUTES", "AdaptConfig", "AdaptResult", "Classifier", "adapt", "load_classifier", "make_config"]
