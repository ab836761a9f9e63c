"""Texts that share a row with others, in models whose layers see windows: what each has alone, and no other."""

import numpy as np
import pytest
import torch

from conformance_checks import causal_model, packs_agree, prompt_agrees, states_agree, token_ids
from tokenworth.adaptation.routes.label_likelihood import (
    Labels,
    SingleReader,
    TreeReader,
    choose_reader,
    mean_log_likelihoods,
)
from tokenworth.adaptation.routes.tuned_predictor import TextClassifier
from tokenworth.adaptation.training.batch_cuts import LONGEST_ROW, Prices, StepCost, plan_groups
from tokenworth.adaptation.training.batch_packing import can_pack, packed_batch, padded_batch
from tokenworth.backbones import load_backbone
from tokenworth.backbones.structure.tree_attention import Tree, TreeError, tree_attention
from tokenworth.measures.loaded_decoder import continued, decoder_of
from tokenworth.measures.retrieval import value_scores
from windowed_models import LENGTHS, WINDOW, write_windowed

PACKED = ("mistral", "gemma2", "gemma3_text", "gpt_oss", "cohere2", "exaone4", "llama4_text", "modernbert")
PROMPTED = ("mistral", "gemma2", "gpt_oss", "llama4_text", "gpt_neo", "modernbert-decoder")


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_packed_texts_have_the_states_they_have_alone(tmp_path, kind, dtype):
    """With windows of 8 tokens and texts of up to 70; taken for whole attention, Mistral's were wrong by their norm."""
    agreement = packs_agree(write_windowed(tmp_path, kind), dtype)
    assert not agreement.note
    assert agreement.apart <= agreement.bound


@pytest.mark.parametrize("kind", PROMPTED)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_prompts_have_the_likelihoods_of_the_librarys_class(tmp_path, kind, dtype):
    """Behind a common beginning of 40 tokens, of which a sliding cache keeps 7."""
    agreement = prompt_agrees(write_windowed(tmp_path, kind, lm_head=True), dtype)
    assert agreement.apart <= agreement.bound


@pytest.mark.parametrize("kind", ["gemma2", "modernbert"])
def test_windows_matter_in_these_texts(tmp_path, kind):
    """The right value is another than that of whole attention: a mask taken as it is would be found out."""
    wide = {"sliding_window": 100} if kind == "gemma2" else {"local_attention": 100}
    folders = [write_windowed(tmp_path / name, kind, **changes) for name, changes in (("narrow", {}), ("wide", wide))]
    states = []
    for folder in folders:
        backbone = load_backbone(folder, dtype="float32")
        batch = packed_batch(backbone, token_ids(backbone, LENGTHS), np.arange(len(LENGTHS)))
        with torch.inference_mode():
            states.append(batch.read(batch.states(backbone.model), "last"))
    apart_N = (states[0] - states[1]).norm(dim=1) / states[1].norm(dim=1)
    assert apart_N[0] > 0.05
    assert apart_N[1] < 1e-5  # 3 tokens


def test_gradients_go_through_windows_alike(tmp_path):
    backbone = load_backbone(write_windowed(tmp_path, "gemma2"), dtype="float32")
    ids, rows = token_ids(backbone, LENGTHS), np.arange(len(LENGTHS))
    classifier = TextClassifier(backbone, 3, pooling="last+mean", dropout=0.0, bias=True, seed=0)
    gradients = []
    for batch in (packed_batch(backbone, ids, rows), padded_batch(backbone, ids, rows)):
        classifier.zero_grad()
        torch.nn.functional.cross_entropy(classifier(batch), torch.tensor([0, 1, 2, 0, 1])).backward()
        gradients.append(torch.cat([w.grad.flatten() for w in classifier.parameters() if w.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-5)


def test_a_row_longer_than_the_models_table_is_asked_for(tmp_path):
    """GPT-Neo keeps its window in a table as long as its context: rows within it are right, longer ones do not run."""
    backbone = load_backbone(write_windowed(tmp_path, "gpt_neo"), dtype="float32")
    assert can_pack(backbone, token_ids(backbone, (30, 20, 17)))
    assert not can_pack(backbone, token_ids(backbone, (60, 40, 50)))
    assert not can_pack(backbone, token_ids(backbone, (30,)))  # a text alone is no pack


def test_a_prompt_beyond_the_window_is_what_is_asked(tmp_path):
    """Within GPT-Neo's window the labels may be branches of a tree; beyond it they stand too far behind the prompt."""
    backbone = load_backbone(write_windowed(tmp_path, "gpt_neo", lm_head=True), dtype="float32", lm_head=True)
    labels = Labels([[5, 6], [7, 8, 9]])
    with torch.inference_mode():
        assert isinstance(choose_reader(backbone, [[4, 5], [6]], labels), TreeReader)
        long = [ids.tolist() for ids in token_ids(backbone, (30, 20))]
        assert isinstance(choose_reader(backbone, long, labels), SingleReader)


def test_the_common_beginning_is_kept_where_layers_slide(tmp_path):
    backbone = load_backbone(write_windowed(tmp_path, "mistral", lm_head=True), dtype="float32", lm_head=True)
    beginning = list(range(4, 44))
    with torch.inference_mode():
        reader = choose_reader(backbone, [[*beginning, 50], [*beginning, 51, 52]], Labels([[5, 6], [7]]))
    assert isinstance(reader, TreeReader)
    assert reader.n_kept == 40
    assert reader.kept.layers[0].keys.shape[2] == WINDOW - 1
    assert mean_log_likelihoods(backbone, [], [[5]]).shape == (0, 1)


@pytest.mark.parametrize("kind", ["xlm", "mamba"])
def test_models_that_ask_for_no_mask_are_not_packed(tmp_path, kind):
    backbone = load_backbone(write_windowed(tmp_path, kind), dtype="float32")
    assert not can_pack(backbone, token_ids(backbone, LENGTHS))


def test_a_tree_that_nobody_asks_for_is_an_error_and_the_masks_are_put_back():
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS as MASKS

    usual, tree = dict(MASKS), Tree(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(TreeError), tree_attention(tree):
        assert MASKS["sdpa"] is not usual["sdpa"]
    assert dict(MASKS) == usual


def test_no_pack_is_longer_than_the_longest_row():
    lengths, free = np.full(8, 1000), Prices(StepCost(1.0, 0.0, 0.0), one_pass=1e9)
    groups = plan_groups(np.arange(8), lengths + np.arange(8), free, most=8, packing=True)
    assert all(lengths[group.rows].sum() <= LONGEST_ROW for group in groups if group.packed)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_residual_stream_wider_than_the_weights_is_read(tmp_path, dtype):
    """Mamba adds up its blocks in float32 whatever the weights are in."""
    agreement = states_agree(write_windowed(tmp_path, "mamba"), dtype)
    assert agreement.apart <= agreement.bound
    assert load_backbone(str(tmp_path), dtype=dtype).structure.blocks is not None


@pytest.mark.parametrize("kind", ["mistral", "gemma2", "falcon_h1", "mamba"])
def test_values_and_samples_behind_a_text_are_those_of_whole_passes(tmp_path, kind):
    """With a cache that slides, one that also holds recurrent states, and none that could be repeated."""
    folder = write_windowed(tmp_path, kind, lm_head=True)
    model = causal_model(folder, "float32")
    decoder, text, values = decoder_of(model, None), list(range(10, 40)), [[5, 6, 7], [8, 9], [20]]
    expected = []
    with torch.inference_mode():
        for value in values:
            logits_TV = model(input_ids=torch.tensor([text + value]), use_cache=False).logits[0].log_softmax(-1)
            expected.append(sum(logits_TV[len(text) - 1 + i, token].item() for i, token in enumerate(value)))
        greedy = list(text)
        for _ in range(4):
            greedy.append(int(model(input_ids=torch.tensor([greedy]), use_cache=False).logits[0, -1].argmax()))
    np.testing.assert_allclose(value_scores(decoder, text, values), expected, atol=1e-4)
    assert continued(decoder, torch.tensor([text]), 4)[0].tolist() == greedy
