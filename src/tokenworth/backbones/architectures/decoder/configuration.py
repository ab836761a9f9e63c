"""The shape of a decoder, and the transformers class that computes the same where there is one."""

from __future__ import annotations

from typing import Any

from transformers import LlamaConfig, MixtralConfig, PreTrainedConfig

_CHOICES = {
    "normalisation": ("rmsnorm", "layernorm"),
    "norm_place": ("pre", "post"),
    "feed_forward": ("swiglu", "gelu"),
    "positions": ("rope", "learned"),
}


class DecoderConfig(PreTrainedConfig):  # type: ignore[misc]
    """Sizes under the names of transformers, and one field for each part that has a predecessor."""

    model_type = "tokenworth_decoder"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 - transformers declares it so

    vocab_size: int = 8192
    hidden_size: int = 384
    intermediate_size: int = 1024
    num_hidden_layers: int = 6
    num_attention_heads: int = 6
    num_key_value_heads: int | None = None
    """None: as many as query heads (MHA); 1: MQA; between: GQA."""
    max_position_embeddings: int = 256
    normalisation: str = "rmsnorm"
    norm_place: str = "pre"
    feed_forward: str = "swiglu"
    bias: bool = False
    """In every linear map but the head and the router, and in LayerNorm."""
    positions: str = "rope"
    rope_theta: float = 10_000.0
    norm_eps: float = 1e-5
    num_local_experts: int = 0
    """Experts of a feed-forward network; 0 is the dense one."""
    num_experts_per_tok: int = 2
    router_aux_loss_coef: float = 0.01
    initializer_range: float = 0.02
    use_cache: bool = True
    bos_token_id: int | None = 0
    eos_token_id: int | None = 0
    pad_token_id: int | None = None
    tie_word_embeddings: bool = True

    def __post_init__(self, **more: Any) -> None:
        """Check what can only be wrong together.
        Raises ValueError: an unknown part, sizes that do not divide, or experts with another network than SwiGLU.
        """
        self.num_key_value_heads = self.num_key_value_heads or self.num_attention_heads
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose {' or '.join(choices)}")
        if self.hidden_size % (2 * self.num_attention_heads):
            raise ValueError(
                f"a width of {self.hidden_size} cannot be dealt out to {self.num_attention_heads} heads in pairs; take "
                f"a multiple of {2 * self.num_attention_heads}"
            )
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"{self.num_attention_heads} query heads cannot share {self.num_key_value_heads} key-value heads evenly"
            )
        if self.num_local_experts and (self.feed_forward != "swiglu" or self.bias):
            raise ValueError("experts are SwiGLU networks without biases; leave feed_forward and bias as they are")
        if self.num_local_experts and not 1 <= self.num_experts_per_tok <= self.num_local_experts:
            raise ValueError(f"{self.num_experts_per_tok} of {self.num_local_experts} experts cannot be asked a token")
        super().__post_init__(**more)

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def shared_heads(self) -> int:
        """Key-value heads."""
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def is_standard(self) -> bool:
        """Whether a transformers class computes the same."""
        today = {name: choices[0] for name, choices in _CHOICES.items()}
        return not self.bias and all(getattr(self, name) == value for name, value in today.items())

    def standard(self) -> Any:
        """The configuration of the Llama, or with experts the Mixtral, that computes the same."""
        assert self.is_standard, "asked before"
        names = DecoderConfig.__annotations__.keys() & LlamaConfig.__annotations__.keys() - {"use_cache"}
        shared = {name: getattr(self, name) for name in names} | {"rms_norm_eps": self.norm_eps}
        shared["rope_parameters"] = {"rope_type": "default", "rope_theta": self.rope_theta}
        if not self.num_local_experts:
            return LlamaConfig(**shared)
        experts = ("num_local_experts", "num_experts_per_tok", "router_aux_loss_coef")
        return MixtralConfig(**shared, sliding_window=None, **{name: getattr(self, name) for name in experts})
