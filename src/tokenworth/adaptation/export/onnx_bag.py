"""The bag of words as tokenizers and an ONNX graph.

A word's or character's number is found by a `tokenizers` file, which does what scikit-learn does to a text before it
counts; the graph counts n-grams (operator TfIdfVectorizer) and computes the rest.

    x = (1 + log count) idf, a block of length 1 a kind of n-gram;  p = softmax(scores / temperature)
    scores = z / 2 for two classes, -log(1 + exp(-z)) for more, z = x W + b       (tokenworth.probes.bag_of_words)

Axes: B texts, T numbers of a text, F terms, C classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from tokenworth.errors import AdaptError
from tokenworth.probes import BagOfWordsModel
from tokenworth.probes.ngrams import UNSPACED, WORDS, Ngrams, mark_class

_UNKNOWN, _PAD = 0, 1
"""Numbers of what is in no term, and of padding: neither is in an n-gram that counts."""
_PRIVATE = range(0xE000, 0xF8FF)
"""Characters that no text should have; the first that is in no term stands between two words."""
_OPSET, _IR = 18, 9


def write_bag(model: BagOfWordsModel, temperature: float, folder: Path) -> dict[str, dict[str, Any]]:
    """Write model.onnx and a tokenizer for each kind of n-gram; returns the graph's inputs, as its facts.

    Raises AdaptError: no text of training had a term.
    """
    import onnx

    inputs: dict[str, dict[str, Any]] = {}
    symbols: dict[str, dict[str, int]] = {}
    for block in model.blocks:
        if not block.terms:
            continue
        file = "tokenizer.json" if block.kind == WORDS else f"{block.kind}.json"
        symbols[block.kind] = {symbol: place for place, symbol in enumerate(_symbols(block), start=2)}
        _tokenizer(block, symbols[block.kind]).save(str(folder / file))
        inputs[block.kind] = {"tokenizer": file, "pad": _PAD, "empty": _UNKNOWN, "mask": False}
    if not inputs:
        raise AdaptError("this bag of words knows no term, so there is nothing to export; train it on longer texts")
    onnx.save(_graph(model, symbols, temperature), folder / "model.onnx")
    return inputs


def _parts(block: Ngrams, term: str) -> list[str]:
    return term.split(" ") if block.kind == WORDS else list(term)


def _symbols(block: Ngrams) -> list[str]:
    """Words or characters of the terms, each once."""
    return sorted({part for term in block.terms for part in _parts(block, term)})


def _tokenizer(block: Ngrams, numbers: dict[str, int]) -> Any:
    """What `Ngrams.transform` does before it counts, in the form of the library `tokenizers`."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    word, space = _expressions()
    characters = block.kind != WORDS
    between = next(chr(point) for point in _PRIVATE if chr(point) not in numbers)
    unknown, padding = " unknown", " padding"  # as no word and no character is called
    tokenizer = Tokenizer(models.WordLevel({unknown: _UNKNOWN, padding: _PAD, **numbers}, unk_token=unknown))
    # Python writes the last sigma of a word as such, and the library looks at one character alone.
    last_sigma = normalizers.Replace(Regex(r"(?<=\p{L})\u03a3(?!\p{L})"), "\u03c2")
    steps = [normalizers.NFKC(), last_sigma, normalizers.Lowercase()]
    if characters:  # a word is read with a blank on each side
        steps.append(normalizers.Replace(Regex(f"{space}+"), f" {between} "))
        ends = [(" ", numbers.get(" ", _UNKNOWN))]
        tokenizer.post_processor = processors.TemplateProcessing(single=[" ", "$A", " "], special_tokens=ends)
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("(?m:.)"), "isolated")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(word), "removed", invert=True)
    tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


@lru_cache(maxsize=1)
def _expressions() -> tuple[str, str]:
    """A word and a white space to Python's `re`, with every class written out: to other engines they are others."""
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    everything = "".join(map(chr, points))
    letters, spaces = ({ord(char) for char in re.findall(kind, everything)} for kind in (r"\w", r"\s"))
    unspaced = {ord(char) for char in re.findall(f"[{UNSPACED}]", everything)}
    marks = {ord(char) for char in re.findall(f"[{mark_class()}]", everything)}
    own, rest = _class(letters - unspaced | marks), _class(letters | spaces)
    return f"[{_class(unspaced)}][{_class(marks)}]*|[{own}]+|[^{rest}]", f"[{_class(spaces)}]"


def _class(points: set[int]) -> str:
    """Code points as the inside of a character class of Oniguruma."""
    ordered = sorted(points)
    runs = [[point for _, point in run] for _, run in groupby(enumerate(ordered), lambda pair: pair[1] - pair[0])]
    return "".join(rf"\x{{{run[0]:x}}}-\x{{{run[-1]:x}}}" for run in runs)


def _graph(model: BagOfWordsModel, symbols: dict[str, dict[str, int]], temperature: float) -> Any:
    """Every number of the bag is in the graph, its terms as runs of numbers."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    values: dict[str, Any] = {}
    blocks = [block for block in model.blocks if block.terms]

    def node(operator: str, *inputs: Any, **attributes: Any) -> str:
        """Adds an operator; arrays become constants.  Returns the name of what it gives."""
        names = []
        for value in inputs:
            name = value if isinstance(value, str) else f"constant {len(values)}"
            if name is not value:
                values[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
            names.append(name)
        nodes.append(helper.make_node(operator, names, [f"value {len(nodes)}"], **attributes))
        return f"value {len(nodes) - 1}"

    rows = [_tfidf(node, block, symbols[block.kind]) for block in blocks]
    weights_FC, one = model.linear.weights_DC.astype(np.float32), np.float64(1.0)
    product = node("MatMul", node("Concat", *rows, axis=1), weights_FC)
    odds = node("Add", node("Cast", product, to=TensorProto.DOUBLE), model.linear.intercept_C.astype(np.float64))
    if weights_FC.shape[1] == 2:
        scores = node("Div", odds, 2 * one)
    else:  # -log(1 + exp(-z)), which does not overflow so
        below = node("Min", odds, 0 * one)
        scores = node("Sub", below, node("Log", node("Add", node("Exp", node("Neg", node("Abs", odds))), one)))
    shares = node("Softmax", node("Div", scores, np.float64(temperature)), axis=-1)
    nodes.append(helper.make_node("Cast", [shares], ["probabilities"], to=TensorProto.FLOAT))
    places = [
        helper.make_tensor_value_info(block.kind, TensorProto.INT64, ["texts", f"{block.kind} of a text"])
        for block in blocks
    ]
    found = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["texts", weights_FC.shape[1]])
    graph = helper.make_graph(nodes, "bag of words", places, [found], list(values.values()))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
    onnx.checker.check_model(made)
    return made


def _tfidf(node: Callable[..., str], block: Ngrams, numbers: dict[str, int]) -> str:
    """Counts of the terms as rows (B, F) of length 1."""
    grams = [[numbers[part] for part in _parts(block, term)] for term in block.terms]
    order = sorted(range(len(grams)), key=lambda place: len(grams[place]))
    lengths = np.array([len(grams[place]) for place in order])
    most = int(lengths[-1])
    starts = [int(lengths[lengths < size].sum()) for size in range(1, most + 1)]
    pool: dict[str, Any] = {"ngram_counts": starts, "ngram_indexes": order, "max_skip_count": 0}
    pool |= {"pool_int64s": [number for place in order for number in grams[place]]}
    pool |= {"min_gram_length": int(lengths[0]), "max_gram_length": most}
    counts = node("TfIdfVectorizer", block.kind, mode="TF", **pool)
    one = np.float32(1.0)
    damped = node("Add", node("Log", node("Max", counts, one)), node("Min", counts, one))
    weighed = node("Mul", damped, block.idf_F.astype(np.float32))
    length = node("Sqrt", node("ReduceSumSquare", weighed, np.array([1]), keepdims=1))
    return node("Div", weighed, node("Max", length, np.float32(1e-12)))
