"""Soft prompts, P-tuning and prefix tuning through peft: tokens before every text that are learnt numbers, no words.

    soft_prompt   V embeddings, which begin as those of tokens drawn from the vocabulary
    p_tuning      V embeddings that a small network (two hidden layers) puts out; the network is not needed afterwards
    prefix        V keys and values in every layer; attention begins with them as if they were tokens read before

The model gets V tokens more, its states of the text's own tokens are read as ever, and a text may be V tokens shorter.
peft holds, initialises, saves and loads what is learnt; the base model is prepared and read by two hooks, so that
whatever runs it (training, counting, predicting) runs it with its prompt.

Sources: Lester et al. (2021), The Power of Scale for Parameter-Efficient Prompt Tuning; Liu et al. (2021), GPT
Understands, Too; Li and Liang (2021), Prefix-Tuning.

Axes: B texts, V virtual tokens, T tokens, D width of an embedding.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch

from tokenworth.adaptation.route_settings import AdaptConfig
from tokenworth.adaptation.routes.learnt_check import check_learnt, without_autocast
from tokenworth.errors import BackboneError, SettingError, first_line

_NAME = "virtual_tokens"
"""Of what is learnt among the modules of the base model, so that it is trained and counted with it."""
_HIDDEN = 128
"""Width of the network of p_tuning, as in peft's examples."""
_NOT_TAKEN = (TypeError, ValueError, RuntimeError, AttributeError, LookupError, AssertionError, BackboneError)


def add_soft_prompt(model: Any, _name: str, config: AdaptConfig, seed: int) -> Any:
    """Embeddings before the text.  Raises SettingError: the model or peft does not take them."""
    from peft import PromptTuningConfig

    fields = {"prompt_tuning_init": "SAMPLE_VOCAB", **_shape(model, _embedding_width(model))}
    return _add(model, PromptTuningConfig, fields, config, seed)


def add_p_tuning(model: Any, _name: str, config: AdaptConfig, seed: int) -> Any:
    """Embeddings that a network makes.  Raises SettingError: the model or peft does not take them."""
    from peft import PromptEncoderConfig

    fields = {"encoder_hidden_size": _HIDDEN, **_shape(model, _embedding_width(model))}
    return _add(model, PromptEncoderConfig, fields, config, seed)


def add_prefix(model: Any, _name: str, config: AdaptConfig, seed: int) -> Any:
    """Keys and values before the text.  Raises SettingError: the model or peft does not take them."""
    from peft import PrefixTuningConfig

    return _add(model, PrefixTuningConfig, _shape(model, model.config.get_text_config().hidden_size), config, seed)


def load_virtual_tokens(model: Any, folder: Path) -> Any:
    """What peft saved, put before the texts of a base model."""
    from peft import PeftModel

    adapter = PeftModel.from_pretrained(model, folder)
    _put_in(model, adapter)
    return adapter


def _embedding_width(model: Any) -> int:
    """Of the token embedding, which may be narrower than a state."""
    return int(model.get_input_embeddings().weight.shape[1])


def _shape(model: Any, width: int) -> dict[str, int]:
    """What peft would look for under the names of a few kinds of model."""
    config = model.config.get_text_config()
    names = {"num_attention_heads": "num_attention_heads", "num_layers": "num_hidden_layers"}
    return {"token_dim": width, **{peft: getattr(config, own) for peft, own in names.items() if hasattr(config, own)}}


def _add(model: Any, kind: Any, fields: dict[str, Any], config: AdaptConfig, seed: int) -> Any:
    """peft's wrapper of a model that gets learnt tokens from now on; the rest is frozen."""
    from peft import get_peft_model

    fields = {"task_type": "FEATURE_EXTRACTION", **fields, **config.peft, "num_virtual_tokens": config.virtual_tokens}
    model.requires_grad_(False)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            adapter = get_peft_model(model, kind(**fields))
        _put_in(model, adapter)
        check_learnt(model, adapter.prompt_encoder)
    except _NOT_TAKEN as error:
        raise SettingError(
            f"tuning {config.tuning} does not work with {type(model).__name__} ({first_line(error)}); choose tuning "
            "lora, or leave out settings of peft"
        ) from error
    return adapter


def _put_in(model: Any, adapter: Any) -> None:
    model.add_module(_NAME, adapter.prompt_encoder)
    prefix = adapter.active_peft_config.peft_type == "PREFIX_TUNING"
    model.register_forward_pre_hook(partial(_with_prefix if prefix else _with_embeddings, adapter), with_kwargs=True)
    if not prefix:
        model.register_forward_hook(partial(_without, adapter.active_peft_config.num_virtual_tokens))


def _with_embeddings(adapter: Any, model: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Arguments of a pass with the learnt embeddings before those of the text."""
    inputs = dict(kwargs)
    words_BTD = model.get_input_embeddings()(inputs.pop("input_ids"))
    with without_autocast(words_BTD.device):  # as peft computes them to save them
        encoder = adapter.prompt_encoder[adapter.active_adapter]
        places_V = adapter.prompt_tokens[adapter.active_adapter].to(words_BTD.device)
        learnt = adapter.active_peft_config.inference_mode
        prompt_1VD = encoder.embedding.weight[None] if learnt else encoder(places_V[None])
    prompt_BVD = prompt_1VD.to(words_BTD.dtype).expand(len(words_BTD), -1, -1)
    inputs["inputs_embeds"] = torch.cat([prompt_BVD, words_BTD], dim=1)
    return args, _seen(inputs, prompt_BVD.shape[1])


def _with_prefix(adapter: Any, _model: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Arguments of a pass that goes on from learnt keys and values."""
    prefix = adapter.get_prompt(len(kwargs["input_ids"]))
    inputs = {**kwargs, "past_key_values": prefix}
    return args, _seen(inputs, adapter.active_peft_config.num_virtual_tokens)


def _seen(inputs: dict[str, Any], more: int) -> dict[str, Any]:
    """With a mask, where there is one, that lets the tokens before the text be seen."""
    mask_BT = inputs.get("attention_mask")
    if mask_BT is not None:
        inputs["attention_mask"] = torch.cat([mask_BT.new_ones(len(mask_BT), more), mask_BT], dim=1)
    return inputs


def _without(before: int, _model: Any, _args: Any, output: Any) -> Any:
    """The states of the text's own tokens."""
    output.last_hidden_state = output.last_hidden_state[:, before:]
    return output
