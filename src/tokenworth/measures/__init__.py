"""Measures of a pretrained decoder beside its loss: exposure, memory, test texts, entropy, routing, long contexts."""

from tokenworth.measures.completion import Completion, measure_completion, shuffled
from tokenworth.measures.decoder import Decoder, decoder_of, load_decoder
from tokenworth.measures.documents import documents_of, rows_of
from tokenworth.measures.entropy import Identity, Source, identity
from tokenworth.measures.exposure import Exposure, measure_exposure
from tokenworth.measures.extension import METHODS, Extension, extend_checkpoint, extended
from tokenworth.measures.memorisation import Memorisation, measure_memorisation
from tokenworth.measures.positions import Positions, measure_positions
from tokenworth.measures.retrieval import Retrieval, measure_retrieval
from tokenworth.measures.router import RouterLoad, router_load

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
