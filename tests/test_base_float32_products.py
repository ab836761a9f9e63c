"""Products in float32 by BLAS or oneDNN: what decides, what it changes for whom, and that results are float32's."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

import tokenworth.base.float32_products as products
from corpora import config_of
from passes import contents, run_pass
from planted import planted_task
from routes import model_at
from tokenworth.adaptation import adapt, load_classifier
from tokenworth.adaptation.routes.label_likelihood import mean_log_likelihoods
from tokenworth.backbones import load_backbone
from tokenworth.base.float32_products import float32_products, product_decision, short_attention
from tokenworth.encode.text_loss import text_losses
from tokenworth.pretraining import pretrain

CPU = torch.device("cpu")
FINE, ROUNDED = {"BLAS": 3e-7, "oneDNN": 6e-7}, {"BLAS": 3e-7, "oneDNN": 3e-3}
FASTER, EVEN = {"BLAS": 2.0, "oneDNN": 1.0}, {"BLAS": 1.1, "oneDNN": 1.0}


def precision():
    return torch.backends.mkldnn.matmul.fp32_precision


@pytest.fixture
def decided(tmp_path, monkeypatch):
    """Called with a library, this process measures that it is the faster one, with these errors of both."""
    if products._Switch.here() is None:
        pytest.skip("this PyTorch was built without oneDNN")
    monkeypatch.setenv("TOKENWORTH_CACHE", str(tmp_path / "cache of products"))

    def as_measured(library, errors=FINE):
        measured = ({"BLAS": EVEN, "oneDNN": FASTER}[library], errors)
        monkeypatch.setattr(products, "_seconds_and_errors", lambda _: measured)
        products._decided.cache_clear()  # as another process

    yield as_measured
    products._decided.cache_clear()


# -- the decision ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("faster", "errors", "library"), [
    ("oneDNN", FINE, "oneDNN"), ("BLAS", FINE, "BLAS"), ("oneDNN", ROUNDED, "BLAS"),
])  # fmt: skip
def test_onednn_is_taken_where_it_is_faster_and_rounds_like_float32(decided, faster, errors, library):
    decided(faster, errors)
    assert product_decision().library == library
    assert json.loads(products._file().read_text())["library"] == library


def test_a_decision_stands_until_it_is_renewed(decided):
    decided("oneDNN")
    assert product_decision().library == "oneDNN"
    decided("BLAS")
    assert product_decision().library == "oneDNN"
    assert products.renewed_product_decision().library == "BLAS"
    assert product_decision().library == "BLAS"


@pytest.mark.parametrize("text", ["", "[]", '{"library": "cuBLAS", "gflops": {}, "errors": {}, "facts": {}}', "{}"])
def test_a_damaged_decision_is_made_anew(decided, text):
    decided("oneDNN")
    place = products._file()
    place.parent.mkdir(parents=True)
    place.write_text(text)
    assert product_decision().library == "oneDNN"
    assert json.loads(place.read_text())["library"] == "oneDNN"


def test_where_nothing_can_be_kept_it_is_said_and_works(decided, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TOKENWORTH_CACHE", str(tmp_path / "file" / "cache"))
    decided("oneDNN")
    assert product_decision().library == "oneDNN"
    assert caplog.text.count("which library multiplies in float32 here (oneDNN) cannot be kept") == 1


def test_what_is_measured_here_is_the_time_and_the_rounding_of_both():
    """Whatever this processor is: a library that rounds to bfloat16 is a thousand times further from float64."""
    switch, threads = products._Switch.here(), torch.get_num_threads()
    if switch is None:
        pytest.skip("this PyTorch was built without oneDNN")
    seconds, errors = products._seconds_and_errors(switch)
    assert set(seconds) == set(errors) == {"BLAS", "oneDNN"}
    assert all(0 < value < 60 for value in seconds.values())
    assert 1e-8 < errors["BLAS"] < 2e-6
    assert errors["oneDNN"] < products.MOST_ERROR * errors["BLAS"] or errors["oneDNN"] > 100 * errors["BLAS"]
    assert torch.get_num_threads() == threads
    assert not switch.open


# -- what is open when ----------------------------------------------------------------------------------------------


def test_the_leave_is_open_only_inside_and_once_for_all(decided):
    decided("oneDNN")
    before = precision()
    with float32_products():
        assert precision() == "bf16"
        assert product_decision().library == "oneDNN"
        with float32_products():
            pass
        assert precision() == "bf16", "the inner one ends nothing"
    assert precision() == before
    with pytest.raises(ValueError, match="inside"), float32_products():
        raise ValueError("inside")
    assert precision() == before


def test_threads_share_it(decided):
    decided("oneDNN")
    before = precision()

    def inside(_):
        with float32_products():
            return precision()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(inside, range(200))) == {"bf16"}
    assert precision() == before


def test_blas_opens_nothing(decided):
    decided("BLAS")
    before = precision()
    with float32_products():
        assert precision() == before


def test_what_the_caller_has_set_stays(decided):
    decided("oneDNN")
    settings, before = torch.backends.mkldnn.matmul, precision()
    settings.fp32_precision = "tf32"
    try:
        with float32_products():
            assert precision() == "tf32"
        assert precision() == "tf32"
        assert product_decision().library == products.renewed_product_decision().library == "as set for PyTorch: tf32"
        assert not products._file().exists(), "what is of one process is not kept for all"
    finally:
        settings.fp32_precision = before


def test_a_pytorch_without_onednn_computes_as_it_does(monkeypatch):
    monkeypatch.setattr(products._Switch, "here", staticmethod(lambda: None))
    assert product_decision().library == products.renewed_product_decision().library == "BLAS"
    with float32_products(), short_attention(8, torch.float32, CPU):
        assert torch.ones(2, 2) @ torch.ones(2, 2) is not None


# -- results --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [5, 128])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_of_short_texts_is_the_same(decided, tokens, dtype):
    decided("oneDNN")
    q, k, v = (torch.randn(2, 3, tokens, 16).to(dtype) for _ in range(3))
    mask = torch.rand(2, 1, tokens, tokens) > 0.3
    mask |= torch.eye(tokens, dtype=torch.bool)
    usual = scaled_dot_product_attention(q, k, v, attn_mask=mask)
    with float32_products(), short_attention(tokens, dtype, CPU):
        found = scaled_dot_product_attention(q, k, v, attn_mask=mask)
    assert (found - usual).norm() < 10 * torch.finfo(dtype).eps * usual.norm()


@pytest.mark.parametrize(("tokens", "dtype", "device", "whole"), [
    (128, torch.float32, "cpu", True), (129, torch.float32, "cpu", False), (8, torch.bfloat16, "cpu", False),
    (8, torch.float32, "cuda", False),
])  # fmt: skip
def test_the_kernel_is_left_only_where_it_is_slower(decided, tokens, dtype, device, whole):
    decided("oneDNN")
    with float32_products(), short_attention(tokens, dtype, torch.device(device)):
        assert torch.backends.cuda.flash_sdp_enabled() != whole
    with short_attention(tokens, dtype, torch.device(device)):
        assert torch.backends.cuda.flash_sdp_enabled(), "BLAS multiplies"
    assert torch.backends.cuda.flash_sdp_enabled()


def test_a_pass_finds_the_same_within_float32(decided, tmp_path):
    model, found = model_at(tmp_path), {}
    for library in ("BLAS", "oneDNN"):
        decided(library)
        products.renewed_product_decision()
        found[library] = contents(run_pass(model, tmp_path / library))
    for name, ours in found["oneDNN"].items():
        theirs = found["BLAS"][name]
        assert (ours.double() - theirs.double()).norm() <= 1e-5 * theirs.double().norm(), name


def test_training_finds_the_same_within_float32(decided, tmp_path):
    model, config, found = model_at(tmp_path), {"steps": 12, "lr": 1e-3, "dtype": "float32", "mislabelled": False}, []
    for library in ("BLAS", "oneDNN"):
        decided(library)
        products.renewed_product_decision()
        found.append(adapt(model, planted_task(40), "full", config=config).training["losses"])
    assert found[1] == pytest.approx(found[0], rel=1e-4)
    assert np.isfinite(found[0]).all()


# -- where it is open -----------------------------------------------------------------------------------------------


@contextmanager
def called_with():
    """The precisions that modules are called with."""
    seen = set()
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *_: seen.add(precision()))
    try:
        yield seen
    finally:
        handle.remove()


def test_passes_losses_and_prompts_are_inside(decided, tmp_path):
    decided("oneDNN")
    backbone = load_backbone(model_at(tmp_path, tie_word_embeddings=True), dtype="float32", lm_head=True)
    for work in (
        lambda: run_pass(backbone, tmp_path / "pass"),
        lambda: text_losses(backbone, ["w1 w2 w3", "w4 w5"]),
        lambda: mean_log_likelihoods(backbone, [[1, 2, 3], [4, 5]], [[6], [7, 8]]),
    ):
        with called_with() as seen:
            work()
        assert seen == {"bf16"}


@pytest.mark.parametrize("packing", [True, False])
def test_short_texts_leave_the_kernel_wherever_they_are_padded(decided, tmp_path, monkeypatch, packing):
    """In passes, losses, training and predictions; packed texts have products of their own."""
    decided("oneDNN")
    kernel, usual = [], torch.nn.functional.scaled_dot_product_attention

    def attend(*arguments, **options):
        if torch.backends.mkldnn.matmul.fp32_precision == "bf16":
            kernel.append(torch.backends.cuda.flash_sdp_enabled())
        return usual(*arguments, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attend)
    model = model_at(tmp_path, tie_word_embeddings=True)
    backbone = load_backbone(model, dtype="float32", lm_head=True)
    run_pass(backbone, tmp_path / "pass")
    text_losses(backbone, ["w1 w2 w3", "w4 w5"])
    config = {"steps": 3, "lr": 1e-3, "dtype": "float32", "mislabelled": False, "packing": packing}
    adapt(model, planted_task(40), "full", config=config)
    assert kernel
    assert not any(kernel)


@pytest.mark.parametrize("route", ["lora", "full", "scratch"])
def test_training_and_predictions_are_inside(decided, tmp_path, route):
    decided("oneDNN")
    seen, config = set(), {"steps": 3, "lr": 1e-3, "dtype": "float32", "mislabelled": False}
    told = {"config": config, "out": tmp_path / "run", "progress": lambda what, *_: seen.add((what, precision()))}
    adapt(model_at(tmp_path), planted_task(40), route, **told)
    assert {one for what, one in seen if what == "train"} == {"bf16"}
    classifier = load_classifier(tmp_path / "run")
    with called_with() as found:
        classifier.predict(["w1 w2 w3"])
    assert found == {"bf16"}


def test_pretraining_is_inside(decided, tmp_path):
    decided("oneDNN")
    seen = set()
    pretrain(config_of(tmp_path), tmp_path / "run", progress=lambda *_: seen.add(precision()))
    assert seen == {"bf16"}
