"""Backbones: a model that turns a text into hidden states per layer, pretrained or with random weights."""

from tokenworth.backbones.accounting.account import LORA_TARGETS, Account
from tokenworth.backbones.accounting.meta_model import account_of, meta_model
from tokenworth.backbones.backbone import Backbone
from tokenworth.backbones.catalog import CATALOG, PUBLISHED, TABLE_2
from tokenworth.backbones.loading.loader import load_backbone
from tokenworth.base.devices import dtype_name, resolve_device, resolve_dtype

__all__ = [
    "CATALOG",
    "LORA_TARGETS",
    "PUBLISHED",
    "TABLE_2",
    "Account",
    "Backbone",
    "account_of",
    "dtype_name",
    "load_backbone",
    "meta_model",
    "resolve_device",
    "resolve_dtype",
]
