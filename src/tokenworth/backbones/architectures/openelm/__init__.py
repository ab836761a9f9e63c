"""OpenELM as a transformers model of our own, so that its published checkpoints load without remote code.

Architecture: Mehta et al., "OpenELM: An Efficient Language Model Family with Open Training and Inference Framework"
(arXiv 2404.14619).
"""


def register() -> None:
    """Make the Auto classes of transformers know OpenELM; a second call does nothing."""
    from transformers import CONFIG_MAPPING, AutoConfig, AutoModel, AutoModelForCausalLM
    from transformers import AutoModelForSequenceClassification as AutoClassifier

    from tokenworth.backbones.architectures.openelm.configuration import OpenELMConfig

    if OpenELMConfig.model_type in CONFIG_MAPPING:
        return
    from tokenworth.backbones.architectures.openelm import modeling

    AutoConfig.register(OpenELMConfig.model_type, OpenELMConfig)
    AutoModel.register(OpenELMConfig, modeling.OpenELMModel)
    AutoModelForCausalLM.register(OpenELMConfig, modeling.OpenELMForCausalLM)
    AutoClassifier.register(OpenELMConfig, modeling.OpenELMForSequenceClassification)
