"""What computes with a model, in every format a CPU computes in, against slow truths in float64.

The model's weights are those of the format in both, so only rounding on the way differs: a few units in the last place.
"""

import numpy as np
import pytest
import torch
import transformers

from number_formats import assert_near
from planted import planted_task
from routes import SHORT, model_at
from tokenworth.adaptation import adapt, load_classifier
from tokenworth.adaptation.routes.label_likelihood import mean_log_likelihoods
from tokenworth.assessment import assess
from tokenworth.backbones import load_backbone
from tokenworth.encode import encode, pool, tokenise
from tokenworth.encode.text_loss import text_losses
from tokenworth.measures.loaded_decoder import load_decoder, token_nll

FORMATS = ("float32", "bfloat16", "float16")
TASK = planted_task(60, 40, 2)
TEXTS = TASK.test.texts[:12]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return model_at(tmp_path_factory.mktemp("models"), lm_head=True)


def exact(folder, dtype):
    """The whole model in float64, with the weights that the format holds."""
    rounded = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    return rounded.double().eval()


def ids_of(folder):
    tokenizer = load_backbone(folder, dtype="float32").tokenizer
    return [tokenizer(text)["input_ids"][:40] for text in TEXTS]


def exact_log_probabilities(folder, dtype):
    """log p of each token given those before it, text by text."""
    network, rows = exact(folder, dtype), []
    for ids in ids_of(folder):
        with torch.inference_mode():
            log_p_TV = network(torch.tensor([ids])).logits[0].log_softmax(-1)
        rows.append([float(log_p_TV[place, ids[place + 1]]) for place in range(len(ids) - 1)])
    return rows


@pytest.mark.parametrize("dtype", FORMATS)
def test_pooled_states_of_every_layer(model, dtype):
    backbone, network = load_backbone(model, dtype=dtype), exact(model, dtype)
    found = np.empty((backbone.n_layers + 1, len(TEXTS), backbone.width))

    def keep(layer, states_BTD, mask_BT, rows_B):
        found[layer, rows_B] = pool(states_BTD, mask_BT)

    encode(backbone, tokenise(backbone, TEXTS), keep)
    for row, ids in enumerate(ids_of(model)):
        with torch.inference_mode():
            states = network(torch.tensor([ids]), output_hidden_states=True).hidden_states
        assert_near(found[:, row], torch.stack([state[0].mean(0) for state in states]), dtype)


@pytest.mark.parametrize("dtype", FORMATS)
def test_text_losses_and_token_losses(model, dtype):
    wanted = exact_log_probabilities(model, dtype)
    losses = text_losses(load_backbone(model, dtype=dtype, lm_head=True), TEXTS)
    assert_near(losses.nats_N, [-sum(row) for row in wanted], dtype)
    decoder = load_decoder(model, dtype=dtype, device="cpu")
    for ids, row in zip(ids_of(model)[:4], wanted, strict=False):
        assert_near(token_nll(decoder, torch.tensor([ids])), [[-value for value in row]], dtype)


@pytest.mark.parametrize("dtype", FORMATS)
def test_likelihoods_of_a_prompt(model, dtype):
    prompts, labels, network = (
        [ids[:-1] for ids in ids_of(model) if len(ids) > 2],
        [[5], [6, 7, 8]],
        exact(model, dtype),
    )
    found = mean_log_likelihoods(load_backbone(model, dtype=dtype, lm_head=True), prompts, labels)
    wanted = np.empty_like(found)
    for row, prompt in enumerate(prompts):
        for column, label in enumerate(labels):
            with torch.inference_mode():
                log_p_TV = network(torch.tensor([prompt + label])).logits[0].log_softmax(-1)
            places = range(len(prompt) - 1, len(prompt) - 1 + len(label))
            wanted[row, column] = np.mean([float(log_p_TV[p, token]) for p, token in zip(places, label, strict=True)])
    assert_near(found, wanted, dtype)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("route", ["probe", "lora"])
def test_logits_of_a_trained_route(model, tmp_path, route, dtype):
    """The saved classifier in its format against the same classifier in float64: its weights are on the disk."""
    adapt(model, TASK, route, out=tmp_path, config={**SHORT, "dtype": dtype}, cache=False)
    narrow = load_classifier(tmp_path).predictor
    wide = load_classifier(tmp_path, dtype="float64").predictor
    if route == "lora":  # the base is that of the format
        wide = narrow_weights(wide, dtype)
    found, wanted = (one.scores(TASK.test.texts) for one in (narrow, wide))
    centred = (scores - scores.mean(1, keepdims=True) for scores in (found, wanted))
    assert_near(*centred, dtype, roundings=32)  # a difference of logits is smaller than what was rounded


def narrow_weights(predictor, dtype):
    """Products in float64 with base weights that the format holds."""
    for name, weights in predictor.classifier.model.named_parameters():
        if "lora_" not in name:
            weights.data = weights.data.to(getattr(torch, dtype)).double()
        else:
            weights.data = weights.data.double()
    return predictor


SCORES = {"hscore": 1, "label_r2": 1, "ar_r2": 1, "logme": 1, "ntps": 4, "retained_raw_auc": 4}
"""Units in the last place of bfloat16 that a score between 0 and 1 may move by; NTPS divides by what may be small."""


def test_scores_of_an_assessment_move_by_the_rounding_of_states(model):
    layers = [1, 3]
    wide, narrow = (
        assess(model, TASK, dtype=dtype, layers=layers, cache=False).layers for dtype in ("float32", "bfloat16")
    )
    for one, two in zip(wide, narrow, strict=True):
        for name, units in SCORES.items():
            if one.get(name) is not None:
                assert two[name] == pytest.approx(one[name], abs=units * 2**-7), name
    assert any(one["ar_r2"] != two["ar_r2"] for one, two in zip(wide, narrow, strict=True)), "computed in one format"
