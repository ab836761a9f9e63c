"""Backbones: a model that turns a text into hidden states per layer, pretrained or with random weights."""

from tokenworth.backbones.backbone import Backbone
from tokenworth.backbones.catalog import PUBLISHED
from tokenworth.backbones.load import load_backbone
from tokenworth.backbones.precision import resolve_device, resolve_dtype

__all__ = ["PUBLISHED", "Backbone", "load_backbone", "resolve_device", "resolve_dtype"]
