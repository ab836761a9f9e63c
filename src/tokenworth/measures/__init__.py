"""Measures of a pretrained decoder beside its loss: exposure, memory, test texts, entropy, routing, long contexts."""

from tokenworth.measures.completion import Completion, measure_completion, shuffled
from tokenworth.measures.exposure import Exposure, measure_exposure
from tokenworth.measures.known_entropy import Identity, Source, identity
from tokenworth.measures.loaded_decoder import Decoder, decoder_of, load_decoder
from tokenworth.measures.loss_by_position import Positions, measure_positions
from tokenworth.measures.memorisation import Memorisation, measure_memorisation
from tokenworth.measures.retrieval import Retrieval, measure_retrieval
from tokenworth.measures.router import RouterLoad, router_load
from tokenworth.measures.token_rows import documents_of, rows_of
from tokenworth.pretraining.context_extension import METHODS, Extension, extend_checkpoint, extended

__all__ = [
    "METHODS",
    "Completion",
    "Decoder",
    "Exposure",
    "Extension",
    "Identity",
    "Memorisation",
    "Positions",
    "Retrieval",
    "RouterLoad",
    "Source",
    "decoder_of",
    "documents_of",
    "extend_checkpoint",
    "extended",
    "identity",
    "load_decoder",
    "measure_completion",
    "measure_exposure",
    "measure_memorisation",
    "measure_positions",
    "measure_retrieval",
    "router_load",
    "rows_of",
    "shuffled",
]
