"""The decoder that `tokenworth pretrain` trains, with each part of 2017 in place of its successor where asked for.

With today's parts it computes what transformers' Llama (dense) or Mixtral (mixture of experts) computes, under the same
names, and is saved as one of them; with any older part it is a model type of its own that only this package loads.
"""


def register() -> None:
    """Make the Auto classes of transformers know the decoder; a second call does nothing."""
    from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, AutoModelForCausalLM

    from tokenworth.backbones.architectures.decoder.configuration import DecoderConfig

    if DecoderConfig.model_type in CONFIG_MAPPING:
        return
    from tokenworth.backbones.architectures.decoder import modeling

    AutoConfig.register(DecoderConfig.model_type, DecoderConfig)
    AutoModel.register(DecoderConfig, modeling.DecoderModel)
    AutoModelForCausalLM.register(DecoderConfig, modeling.DecoderForCausalLM)
