"""The sizes of an OpenELM: few numbers, from which every layer's own heads and widths follow (layer-wise scaling)."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig


class OpenELMConfig(PreTrainedConfig):  # type: ignore[misc]
    """Settings under their published names.

    Layer i of L has its own number of query heads and feed-forward width: multipliers rise evenly over the layers from
    the first to the last value given (or are given for each layer), times `model_dim`, rounded to what the heads'
    grouping and `ffn_dim_divisor` allow.  Lists that a config.json stores for every layer go before the rule.
    """

    model_type = "openelm"
    keys_to_ignore_at_inference = ["past_key_values"]  # noqa: RUF012 - transformers declares it so
    attribute_map = {  # noqa: RUF012
        "hidden_size": "model_dim",
        "num_hidden_layers": "num_transformer_layers",
        "max_position_embeddings": "max_context_length",
    }

    vocab_size: int = 32_000
    max_context_length: int = 2048
    num_transformer_layers: int = 12
    model_dim: int = 2048
    head_dim: int = 128
    qkv_multipliers: float | list[float] = 1.0
    num_query_heads: int | list[int] | None = None
    num_kv_heads: int | list[int] | None = None
    num_gqa_groups: int = 1
    """Query heads that share a key and a value."""
    ffn_multipliers: float | list[float] = 4.0
    ffn_with_glu: bool = True
    ffn_dim_divisor: int = 256
    activation_fn_name: str = "swish"
    normalization_layer_name: str = "rms_norm"
    normalize_qk_projections: bool = False
    rms_norm_eps: float = 1e-6
    share_input_output_layers: bool = False
    rope_freq_constant: int | float = 10_000
    rope_max_length: int = 4096
    initializer_range: float = 0.02
    """Kept for the file's sake; the published initialisation follows from the widths alone."""
    use_cache: bool = True
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = None
    tie_word_embeddings: bool = False

    def __post_init__(self, **more: Any) -> None:
        """Work out what a config.json leaves to the rule.
        Raises ValueError: a normalisation other than rms_norm, or a list whose length is not the number of layers.
        """
        if self.normalization_layer_name != "rms_norm":
            raise ValueError(f"normalization_layer_name is {self.normalization_layer_name!r}; only rms_norm is known")
        self.tie_word_embeddings = self.share_input_output_layers
        step = self.head_dim * self.num_gqa_groups
        if not isinstance(self.num_query_heads, list):
            widths = [round_to(m * self.model_dim, step) for m in self._each_layer(self.qkv_multipliers)]
            self.num_query_heads = [width // self.head_dim for width in widths]
        if not isinstance(self.num_kv_heads, list):
            self.num_kv_heads = [heads // self.num_gqa_groups for heads in self.num_query_heads]
        for name in ("num_query_heads", "num_kv_heads"):
            if len(getattr(self, name)) != self.num_transformer_layers:
                raise ValueError(
                    f"{name} has {len(getattr(self, name))} entries for {self.num_transformer_layers} layers"
                )
        super().__post_init__(**more)

    def heads_of(self, layer: int) -> tuple[int, int]:
        """Query heads and key-value heads of a layer."""
        assert isinstance(self.num_query_heads, list), "lists since __post_init__"
        assert isinstance(self.num_kv_heads, list), "lists since __post_init__"
        return self.num_query_heads[layer], self.num_kv_heads[layer]

    @property
    def ffn_widths(self) -> list[int]:
        """Width of each layer's feed-forward network."""
        return [round_to(m * self.model_dim, self.ffn_dim_divisor) for m in self._each_layer(self.ffn_multipliers)]

    def _each_layer(self, multipliers: float | list[float]) -> list[float]:
        """One multiplier a layer: the same for all, two to rise between (two decimals), or all of them."""
        n_layers = self.num_transformer_layers
        if not isinstance(multipliers, list | tuple):
            return [float(multipliers)] * n_layers
        if len(multipliers) == n_layers:
            return [float(m) for m in multipliers]
        if len(multipliers) != 2:
            raise ValueError(f"{len(multipliers)} multipliers for {n_layers} layers; give 1, 2 or {n_layers}")
        low, high = multipliers
        return [round(low + (high - low) * layer / max(1, n_layers - 1), 2) for layer in range(n_layers)]


def round_to(width: float, divisor: int) -> int:
    """The nearest multiple of a divisor, one step up where that would lose more than a tenth."""
    nearest = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * width else nearest
