"""Measures of a pretrained decoder beside its loss: exposure, memory, test texts, entropy, routing, long contexts."""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.measures.completion import Completion as Completion
    from tokenworth.measures.completion import measure_completion as measure_completion
    from tokenworth.measures.completion import shuffled as shuffled
    from tokenworth.measures.exposure import Exposure as Exposure
    from tokenworth.measures.exposure import measure_exposure as measure_exposure
    from tokenworth.measures.known_entropy import Identity as Identity
    from tokenworth.measures.known_entropy import Source as Source
    from tokenworth.measures.known_entropy import identity as identity
    from tokenworth.measures.loaded_decoder import Decoder as Decoder
    from tokenworth.measures.loaded_decoder import decoder_of as decoder_of
    from tokenworth.measures.loaded_decoder import load_decoder as load_decoder
    from tokenworth.measures.loss_by_position import Positions as Positions
    from tokenworth.measures.loss_by_position import measure_positions as measure_positions
    from tokenworth.measures.memorisation import Memorisation as Memorisation
    from tokenworth.measures.memorisation import measure_memorisation as measure_memorisation
    from tokenworth.measures.retrieval import Retrieval as Retrieval
    from tokenworth.measures.retrieval import measure_retrieval as measure_retrieval
    from tokenworth.measures.router import RouterLoad as RouterLoad
    from tokenworth.measures.router import router_load as router_load
    from tokenworth.measures.token_rows import documents_of as documents_of
    from tokenworth.measures.token_rows import rows_of as rows_of
    from tokenworth.pretraining.context_extension import METHODS as METHODS
    from tokenworth.pretraining.context_extension import Extension as Extension
    from tokenworth.pretraining.context_extension import extend_checkpoint as extend_checkpoint
    from tokenworth.pretraining.context_extension import extended as extended

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        ".completion": "Completion measure_completion shuffled",
        ".exposure": "Exposure measure_exposure",
        ".known_entropy": "Identity Source identity",
        ".loaded_decoder": "Decoder decoder_of load_decoder",
        ".loss_by_position": "Positions measure_positions",
        ".memorisation": "Memorisation measure_memorisation",
        ".retrieval": "Retrieval measure_retrieval",
        ".router": "RouterLoad router_load",
        ".token_rows": "documents_of rows_of",
        "tokenworth.pretraining.context_extension": "Extension METHODS extend_checkpoint extended",
    },
)
