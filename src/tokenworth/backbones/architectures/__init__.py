"""The architectures that this package brings itself, as transformers models that need no remote code."""


def register_architectures() -> None:
    """Make the Auto classes of transformers know them; a second call does nothing."""
    from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, AutoModelForCausalLM
    from transformers import AutoModelForSequenceClassification as AutoClassifier

    from tokenworth.backbones.architectures.decoder.configuration import DecoderConfig
    from tokenworth.backbones.architectures.openelm.configuration import OpenELMConfig

    if OpenELMConfig.model_type in CONFIG_MAPPING:
        return
    from tokenworth.backbones.architectures.decoder import modeling as decoder
    from tokenworth.backbones.architectures.openelm import modeling as openelm

    AutoClassifier.register(OpenELMConfig, openelm.OpenELMForSequenceClassification)
    for config, base, causal in (
        (DecoderConfig, decoder.DecoderModel, decoder.DecoderForCausalLM),
        (OpenELMConfig, openelm.OpenELMModel, openelm.OpenELMForCausalLM),
    ):
        AutoConfig.register(config.model_type, config)
        AutoModel.register(config, base)
        AutoModelForCausalLM.register(config, causal)
