"""One model's weights spread over the processes of a group: each holds a part and borrows a block's rest for its turn.

FSDP of torch (`fully_shard`): all processes make the same number of forward passes, so none may stop early.
"""

from __future__ import annotations

from dataclasses import replace

import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from tokenworth.backbones import Backbone
from tokenworth.errors import SettingError


def shard(backbone: Backbone) -> Backbone:
    """The backbone with its weights spread over the processes; every one of them must call this.

    Raises SettingError: this is one process alone, or the model's blocks cannot be told apart.
    """
    if not dist.is_initialized() or dist.get_world_size() < 2:
        raise SettingError("--shard spreads a model over several processes; start them with torchrun")
    if backbone.structure.blocks is None:
        raise SettingError(
            f"the blocks of {backbone.name} cannot be told apart, so it cannot be sharded; leave out --shard"
        )
    mesh = init_device_mesh(backbone.device.type, (dist.get_world_size(),))
    for block in backbone.structure.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(backbone.model, mesh=mesh)
    return replace(backbone, sharded=True)
