"""Backbones: a model that turns a text into hidden states per layer, pretrained or with random weights."""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.backbones.accounting.account import LORA_TARGETS as LORA_TARGETS
    from tokenworth.backbones.accounting.account import Account as Account
    from tokenworth.backbones.accounting.meta_model import account_of as account_of
    from tokenworth.backbones.accounting.meta_model import meta_model as meta_model
    from tokenworth.backbones.backbone import Backbone as Backbone
    from tokenworth.backbones.catalog import CATALOG as CATALOG
    from tokenworth.backbones.catalog import PUBLISHED as PUBLISHED
    from tokenworth.backbones.catalog import TABLE_2 as TABLE_2
    from tokenworth.backbones.loading.loader import load_backbone as load_backbone
    from tokenworth.backbones.package_models import PACKAGED as PACKAGED
    from tokenworth.base.devices import dtype_name as dtype_name
    from tokenworth.base.devices import resolve_device as resolve_device
    from tokenworth.base.devices import resolve_dtype as resolve_dtype

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        ".accounting.account": "Account LORA_TARGETS",
        ".accounting.meta_model": "account_of meta_model",
        ".backbone": "Backbone",
        ".catalog": "CATALOG PUBLISHED TABLE_2",
        ".loading.loader": "load_backbone",
        ".package_models": "PACKAGED",
        "tokenworth.base.devices": "dtype_name resolve_device resolve_dtype",
    },
)
