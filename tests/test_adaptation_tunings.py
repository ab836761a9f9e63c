"""Tunings beside LoRA: each learns, is what its definition says, is counted, kept, gone on with and refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from commands import tokenworth
from planted import planted_task, rows_of, write_rows
from processes import forked, killed_once_kept
from routes import model_at, paced_run, run
from small_models import write_folder
from tokenworth.adaptation import AdaptConfig, AdaptResult, adapt, load_classifier, make_config
from tokenworth.adaptation.evaluation.diagnosis import intruder_dimensions
from tokenworth.adaptation.evaluation.intruder_reduction import lora_layers, reduce_adapter
from tokenworth.adaptation.export.export_run import export_run
from tokenworth.adaptation.export.export_settings import ExportSettings
from tokenworth.adaptation.forecast.route_forecast import forecast_route
from tokenworth.adaptation.forecast.training_flops import count_training
from tokenworth.adaptation.recommended_settings import TUNING_RULES, TaskSize, as_published, resolve
from tokenworth.adaptation.routes.tunings import KINDS
from tokenworth.adaptation.training.batch_packing import packed_batch, padded_batch
from tokenworth.adaptation.training.text_spans import Spans
from tokenworth.adaptation.tuning_settings import BESIDE_WEIGHTS, OWN_WEIGHTS, TUNINGS
from tokenworth.backbones import load_backbone
from tokenworth.backbones.loading.quiet import quiet_transformers
from tokenworth.decision import decide
from tokenworth.encode import tokenise
from tokenworth.errors import AdaptError, SettingError

V = 4
TEXTS = [np.arange(4, 4 + n, dtype=np.int32) for n in (3, 9, 1, 14)]
ROWS = np.arange(4)
RATES = {"lora": 1e-2, "last_blocks": 3e-3, "soft_prompt": 3e-2, "prefix": 3e-2}
FAMILY_OF: dict[str, str] = dict.fromkeys(TUNINGS, "llama") | {"bias": "bert"}
"""Llama has no biases."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {family: model_at(folder, family) for family in ("llama", "bert")}


def tuned_backbone(model, tuning, **settings):
    """A backbone with a tuning in it, and the adapter."""
    backbone = load_backbone(model, dtype="float32")
    config = make_config({"tuning": tuning, "virtual_tokens": V, "rank": 4, **settings})
    return backbone, attached(backbone, config)


def attached(backbone, config):
    with quiet_transformers():
        return KINDS[config.tuning].attach(backbone.model, backbone.name, config, 0)


# -- every tuning ---------------------------------------------------------------------------------------------------


def some(tunings, quick):
    """Tunings as parameters; all but those named are slow tests, since they go one way."""
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.slow) for name in tunings]


@pytest.mark.parametrize("dtype", some(["float32", "bfloat16"], ["float32"]))
@pytest.mark.parametrize("tuning", [tuning for tuning in TUNINGS if tuning != "lora"])
def test_a_tuning_learns_and_what_is_saved_predicts_the_same_to_the_bit(models, tmp_path, tuning, dtype):
    settings = {"n_train": 160, "steps": 60, "lr": RATES.get(tuning, 1e-2), "virtual_tokens": V}
    result = run(models[FAMILY_OF[tuning]], "lora", tmp_path, tuning=tuning, dtype=dtype, **settings)
    least = 0.6 if tuning == "bias" else 0.65  # of the small BERT it learns more slowly
    assert result.metrics["weighted_f1"] > least, "always one class has .33, a coin .5"
    assert result.settings["tuning"] == tuning
    assert result.made_by == f"lora ({tuning})"
    assert result.sentences[0].startswith(KINDS[tuning].words)
    assert 0 < result.parameters["trainable"] < result.parameters["total"]
    found_NC = load_classifier(tmp_path).predict_proba(planted_task(160).test.texts)
    assert np.array_equal(found_NC, result.predictions[["p_class 0", "p_class 1"]].to_numpy())
    assert not result.facts["packs"] or not KINDS[tuning].lengthens
    long_NC = load_classifier(tmp_path).predict_proba([" ".join(["w1"] * 500)])
    assert long_NC.sum() == pytest.approx(1, abs=1e-4), "longer than what the model reads"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("route", ["lora", "full", "scratch"])
def test_an_encoder_learns_from_texts_as_long_as_it_reads(models, route, dtype):
    """Its FLOPs were counted on a text half as long again, of which it has no positions."""
    task = planted_task(16, 8)
    texts = tuple(" ".join([f"w{1 + n % 2}"] * 100) for n in range(len(task.train)))
    longer = replace(task, train=replace(task.train, texts=texts))
    settings = {"steps": 2, "mislabelled": False, "dtype": dtype}
    result = adapt(models["bert"], longer, route, config=settings)
    assert result.cost["train_flops"] > 0
    assert result.cost["tokens"] >= 2 * 8 * 30, "40 tokens are read"


@pytest.mark.parametrize("tuning", some(TUNINGS, ["soft_prompt", "loreft"]))
def test_a_tuning_that_was_interrupted_goes_on_to_equal_numbers(models, tmp_path, monkeypatch, tuning):
    """As after a power cut; the weights of the best step and the optimiser's sums are in the checkpoint."""
    import tokenworth.training.loop as loop

    settings = {"tuning": tuning, "steps": 8, "selection": "best", "eval_steps": 2, "checkpoint_seconds": 0}
    settings |= {"dtype": "float32"}
    settings |= {"virtual_tokens": V, "lr": RATES.get(tuning, 1e-2)}
    model = models[FAMILY_OF[tuning]]
    whole, inner = run(model, "lora", tmp_path / "whole", **settings), loop.Loop._step

    def fail(self):
        if self.learner.position.step == 5:
            raise KeyboardInterrupt
        inner(self)

    monkeypatch.setattr(loop.Loop, "_step", fail)
    with pytest.raises(KeyboardInterrupt):
        run(model, "lora", tmp_path / "cut", **settings)
    monkeypatch.setattr(loop.Loop, "_step", inner)
    result = run(model, "lora", tmp_path / "cut", **settings)
    assert result.resumed_from_step == 5
    assert result.training["losses"] == whole.training["losses"]
    assert result.training["evaluations"] == whole.training["evaluations"]
    assert result.metrics == whole.metrics


@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["p_tuning", "loreft", "last_blocks"])
def test_killed_the_run_ends_with_equal_numbers(models, tmp_path, tuning):
    settings = {"tuning": tuning, "steps": 30, "checkpoint_seconds": 0, "virtual_tokens": V, "dtype": "float32"}
    whole = run(models["llama"], "lora", tmp_path / "whole", **settings)
    folder = tmp_path / "killed"
    process = forked(paced_run, models["llama"], "lora", folder, 0.1, settings)
    assert killed_once_kept(process, folder / "checkpoints")
    result = run(models["llama"], "lora", folder, **settings)
    assert result.resumed_from_step > 0
    assert result.training["losses"] == whole.training["losses"]
    assert result.metrics == whole.metrics


@pytest.mark.parametrize("tuning", some(TUNINGS, ["ia3", "soft_prompt", "last_blocks"]))
def test_parameters_and_flops_are_forecast_as_they_happen(models, tuning):
    name, task = models[FAMILY_OF[tuning]], planted_task(60, 20)
    settings = AdaptConfig(steps=10, rank=4, mislabelled=False, tuning=tuning, virtual_tokens=V, dtype="float32")
    config, backbone = as_published(settings), load_backbone(name, dtype="float32")
    train_N, test_M = (tokenise(backbone, part.texts).lengths for part in (task.train, task.test))
    if KINDS[tuning].lengthens:  # the forecast takes packing where a model packs
        config = as_published(make_config(config, packing=False))
    planned = forecast_route(name, "lora", config, 2, train_N, test_M, 1e9)
    result = adapt(name, task, "lora", config=config)
    assert planned.trainable == result.parameters["trainable"]
    assert planned.total == result.parameters["total"]
    assert planned.train_flops == pytest.approx(result.cost["train_flops"], rel=1e-6)


@pytest.mark.parametrize("width", [64, 576, 4096])
def test_every_tuning_has_a_rate_by_rule(width):
    rates = {t: resolve(make_config({"tuning": t}), "lora", width, TaskSize(800, 700))[0].lr for t in TUNINGS}
    assert rates["lora"] == TUNING_RULES["lora"].rate(width)
    assert rates["prefix"] == 1e-2
    assert rates["loreft"] == 9e-4
    assert rates["last_blocks"] == resolve(make_config(), "full", width, TaskSize(800, 700))[0].lr
    _, reasons = resolve(make_config({"tuning": "ia3"}), "lora", width, TaskSize(800, 700))
    assert reasons["lr"] == "that of tuning ia3 for any width"


def test_records_of_runs_of_lora_name_no_tuning():
    assert not {"tuning", "virtual_tokens", "reft_rank"} & as_published(AdaptConfig()).asdict().keys()
    kept = as_published(AdaptConfig(tuning="loreft", reft_layers=(1, 3))).asdict()
    assert (kept["tuning"], kept["reft_layers"]) == ("loreft", [1, 3])


# -- virtual tokens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_soft_prompt_of_known_words_is_a_text_that_begins_with_them(models, family):
    """Slow truth: the plain model on longer texts, whose first tokens are left out."""
    plain = load_backbone(models[family], dtype="float32")
    backbone, adapter = tuned_backbone(models[family], "soft_prompt")
    words = np.arange(20, 20 + V, dtype=np.int32)
    table = backbone.model.get_input_embeddings().weight
    with torch.no_grad():
        adapter.prompt_encoder["default"].embedding.weight.copy_(table[torch.from_numpy(words).long()])
        found = padded_batch(backbone, TEXTS, ROWS).states(backbone.model)
        longer = [np.concatenate([words, ids]) for ids in TEXTS]
        wanted = padded_batch(plain, longer, ROWS).states(plain.model)[:, V:]
    for row, ids in enumerate(TEXTS):
        torch.testing.assert_close(found[row, : len(ids)], wanted[row, : len(ids)], rtol=1e-4, atol=1e-5)


def test_a_prefix_of_known_keys_and_values_is_a_text_read_before(models):
    """Slow truth: the keys and values that the plain model keeps of words, put in as the prefix."""
    plain = load_backbone(models["llama"], dtype="float32")
    backbone, adapter = tuned_backbone(models["llama"], "prefix")
    words = torch.arange(20, 20 + V)[None]
    with torch.no_grad():
        cache = plain.model(input_ids=words, use_cache=True).past_key_values
        both = [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)]
        table_V = torch.stack([tensor[0].transpose(0, 1).flatten(1) for tensor in both], dim=1).flatten(1)
        adapter.prompt_encoder["default"].embedding.weight.copy_(table_V)
        found = padded_batch(backbone, TEXTS, ROWS).states(backbone.model)
        longer = [np.concatenate([words[0].numpy().astype(np.int32), ids]) for ids in TEXTS]
        wanted = padded_batch(plain, longer, ROWS).states(plain.model)[:, V:]
    for row, ids in enumerate(TEXTS):
        torch.testing.assert_close(found[row, : len(ids)], wanted[row, : len(ids)], rtol=1e-4, atol=1e-5)


def test_virtual_tokens_are_counted_as_tokens(models):
    """Forward, a text of T tokens behind a soft prompt of V costs what one of T + V costs."""
    backbone, _ = tuned_backbone(models["llama"], "soft_prompt")
    plain = load_backbone(models["llama"], dtype="float32")
    head = torch.nn.Linear(32, 2)
    device = torch.device("cpu")
    prompted = count_training(backbone.model, head, 32, device, length=12).forward
    alone = count_training(plain.model, head, 32, device, length=12 + V).forward
    assert prompted.padded(np.array([12])) == pytest.approx(alone.padded(np.array([12 + V])), rel=1e-6)


def test_a_text_is_shorter_by_the_virtual_tokens_before_it(models, tmp_path):
    """The small models read 40 tokens."""
    task = planted_task(20, 8, longest=60)
    settings = {"tuning": "soft_prompt", "virtual_tokens": 24, "steps": 2, "mislabelled": False, "dtype": "float32"}
    result = adapt(models["bert"], task, "lora", config=settings, out=tmp_path / "run")
    assert result.cost["tokens"] <= 2 * 8 * 16
    load_classifier(tmp_path / "run").predict([" ".join(["w1"] * 200)])
    with pytest.raises(SettingError, match=r"40 virtual tokens leave no place for a text, as .* reads 40 in all"):
        adapt(models["bert"], task, "lora", config=settings | {"virtual_tokens": 40})


# -- LoReFT ---------------------------------------------------------------------------------------------------------


def slowly_changed(intervention, states_BTD, lengths, first, last):
    """h + R'(W h + b - R h), one place at a time, in float64."""
    rotation = torch.linalg.qr(intervention.free.double()).Q.T
    source, bias = intervention.source.double(), intervention.bias.double()
    changed = states_BTD.double().clone()
    for row, length in enumerate(lengths):
        for place in range(length):
            if place < first or place >= length - last:
                h = states_BTD[row, place].double()
                changed[row, place] = h + rotation.T @ (source @ h + bias - rotation @ h)
    return changed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(("positions", "ends"), [("f2+l3", (2, 3)), ("f1", (1, 0)), ("l2", (0, 2))])
def test_loreft_is_a_loop_over_positions(models, positions, ends, dtype):
    """Of the last layer, behind which the norm alone comes; texts of which one is shorter than the positions."""
    plain = load_backbone(models["llama"], dtype=str(dtype).removeprefix("torch."))
    backbone = load_backbone(models["llama"], dtype=str(dtype).removeprefix("torch."))
    config = make_config({"tuning": "loreft", "reft_positions": positions, "reft_layers": [3], "reft_rank": 2})
    adapter = attached(backbone, config)
    intervention = adapter.layers["3"]
    with torch.no_grad():
        intervention.source.add_(torch.randn(intervention.source.shape))
        intervention.bias.add_(1.0)
        kept = []
        handle = plain.model.layers[-1].register_forward_hook(lambda _m, _a, out: kept.append(out))
        batch = padded_batch(plain, TEXTS, ROWS)
        batch.states(plain.model)
        handle.remove()
        before_BTD = kept[0] if isinstance(kept[0], torch.Tensor) else kept[0][0]
        changed = slowly_changed(intervention, before_BTD, [len(ids) for ids in TEXTS], *ends)
        wanted = plain.model.norm(changed.to(dtype))
        found = padded_batch(backbone, TEXTS, ROWS).states(backbone.model)
    rounding = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 2e-2, "atol": 2e-2}
    for row, ids in enumerate(TEXTS):
        torch.testing.assert_close(found[row, : len(ids)], wanted[row, : len(ids)], **rounding)


def test_loreft_begins_at_the_pretrained_model_and_keeps_its_rows_orthonormal(models):
    plain = load_backbone(models["llama"], dtype="float32")
    backbone, adapter = tuned_backbone(models["llama"], "loreft")
    with torch.no_grad():
        found = padded_batch(backbone, TEXTS, ROWS).states(backbone.model)
        torch.testing.assert_close(found, padded_batch(plain, TEXTS, ROWS).states(plain.model), rtol=1e-4, atol=1e-5)
    for layer in adapter.layers.values():
        with torch.no_grad():
            layer.free.mul_(3.0).add_(0.1)
        torch.testing.assert_close(layer.rotation() @ layer.rotation().T, torch.eye(4), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("how", ["mean", "last"])
def test_loreft_finds_the_ends_of_packed_texts(models, how):
    backbone, adapter = tuned_backbone(models["llama"], "loreft", reft_positions="f2+l3")
    with torch.no_grad():
        for layer in adapter.layers.values():
            layer.bias.add_(1.0)
        packed = packed_batch(backbone, TEXTS, ROWS)
        together = packed.read(packed.states(backbone.model), how)
        for row in ROWS:
            alone = padded_batch(backbone, TEXTS, ROWS[row : row + 1])
            torch.testing.assert_close(
                together[row], alone.read(alone.states(backbone.model), how)[0], rtol=1e-4, atol=1e-5
            )


def test_the_ends_of_a_text_are_each_taken_once():
    spans = Spans(np.array([0, 0, 1]), np.array([0, 3, 0]), np.array([3, 6, 2]))
    rows, places = spans.ends(2, 2)
    assert list(zip(rows.tolist(), places.tolist(), strict=True)) == [
        (0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 7), (0, 8), (1, 0), (1, 1),
    ]  # fmt: skip


# -- weights of the model -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tuning", "family", "learns"), [
    ("last_blocks", "llama", lambda name: "layers.2." in name or name == "norm.weight"),
    ("last_blocks", "bert", lambda name: "layer.2." in name),
    ("bias", "bert", lambda name: name.endswith("bias")),
])  # fmt: skip
def test_what_does_not_learn_stays_as_it_was_to_the_bit(models, tmp_path, tuning, family, learns):
    settings = {"tuning": tuning, "blocks": 1, "steps": 6, "lr": 1e-2, "dtype": "float32"}
    result = run(models[family], "lora", tmp_path, **settings)
    before = load_backbone(models[family], dtype="float32").model.state_dict()
    after = load_backbone(str(tmp_path / "model" / "backbone"), dtype="float32").model.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    wanted = {name for name in after if learns(name)}
    assert moved <= wanted
    assert len(moved) > 0.8 * len(wanted), "a bias of keys moves nothing that attention sees"
    head = result.parameters["trainable"] - sum(after[name].numel() for name in wanted)
    assert head == 2 * (2 * 32) + 2
    assert result.parameters["total"] == sum(value.numel() for value in before.values()) + head


def test_fewer_blocks_cost_fewer_flops(models):
    device, head = torch.device("cpu"), torch.nn.Linear(32, 2)
    costs = []
    for blocks in (1, 2, 3):
        backbone, _ = tuned_backbone(models["llama"], "last_blocks", blocks=blocks)
        costs.append(count_training(backbone.model, head, 32, device).training.token)
    assert costs == sorted(set(costs))


# -- intruder dimensions --------------------------------------------------------------------------------------------


def test_reduced_intruder_dimensions_are_fewer_and_stay_in_the_one_adapter(models):
    backbone = load_backbone(models["llama"], dtype="float32")
    adapter = attached(backbone, make_config({"rank": 4}))
    with torch.no_grad():
        for layer in lora_layers(adapter):
            layer.lora_B["default"].weight.normal_(0.0, 0.5)
    old = [layer.get_base_layer().weight.detach().clone() for layer in lora_layers(adapter)]

    def intruders():
        pairs = zip(lora_layers(adapter), old, strict=True)
        return sum(intruder_dimensions(base, base + layer.get_delta_weight("default")) for layer, base in pairs)

    with torch.no_grad():
        before = intruders()
        reduce_adapter(adapter)
        after = intruders()
    assert 0 < after < before
    assert list(adapter.peft_config) == ["default"]
    assert all(list(layer.lora_A) == ["default"] for layer in lora_layers(adapter))
    assert all(
        torch.equal(layer.get_base_layer().weight, base) for layer, base in zip(lora_layers(adapter), old, strict=True)
    )


@pytest.mark.formats
def test_a_run_tells_f1_and_text_loss_before_and_after(tmp_path):
    folder = write_folder(tmp_path / "llama", "llama", lm_head=True)
    result = run(str(folder), "lora", tmp_path / "run", reduce_intruders=True, lr=3e-2)
    facts = result.facts["intruders"]
    assert facts["after"]["weighted_f1"] == pytest.approx(result.metrics["weighted_f1"], abs=1e-9)
    assert all(facts[when]["text_loss"] > 0 for when in ("before", "after"))
    assert facts["text_loss_of_the_backbone"] > 0
    assert facts["looked_at"] == 3 * 7 * 10
    assert any("intruder dimensions left" in sentence for sentence in result.sentences)
    found_NC = load_classifier(tmp_path / "run").predict_proba(planted_task(40).test.texts)
    assert np.array_equal(found_NC, result.predictions[["p_class 0", "p_class 1"]].to_numpy())


# -- leaving the house ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    for tuning in ("ia3", "loreft", "soft_prompt", "last_blocks"):
        settings = {"tuning": tuning, "steps": 3, "virtual_tokens": V, "dtype": "float32", "pooling": "last"}
        run(models["llama"], "lora", folder / tuning, head_bias=False, **settings)
    return folder


@pytest.mark.parametrize("tuning", ["ia3", "last_blocks"])
def test_tunings_of_weights_leave_as_a_plain_checkpoint(finished, tmp_path, tuning):
    exported = export_run(finished / tuning, tmp_path / "out", ExportSettings())
    assert "logits equal to" in exported.sentences[0]


@pytest.mark.parametrize("tuning", ["loreft", "soft_prompt"])
def test_tunings_beside_the_weights_say_that_they_cannot_leave(finished, tmp_path, tuning):
    assert tuning in BESIDE_WEIGHTS
    with pytest.raises(AdaptError, match=f"tuning {tuning} acts on texts or states and moves no weight"):
        export_run(finished / tuning, tmp_path / "out", ExportSettings())
    card = (finished / tuning / "model" / "README.md").read_text()
    assert "classifier.py" not in card
    assert not (finished / tuning / "model" / "classifier.py").exists()


def test_only_lora_is_exported_for_servers_of_adapters(finished, tmp_path):
    with pytest.raises(AdaptError, match="--format peft writes LoRA for servers of adapters, and tuning ia3 is none"):
        export_run(finished / "ia3", tmp_path / "out", ExportSettings(format="peft"))


# -- what does not go -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "tuning", "message"), [
    ("llama", "bias", "LlamaModel has no biases that could learn; choose tuning ia3"),
    ("modernbert", "prefix", "tuning prefix does not work with ModernBertModel .*choose tuning lora"),
    ("albert", "loreft", "acts on single layers, and in AlbertModel several of them share their weights"),
    ("albert", "last_blocks", "acts on single layers, and in AlbertModel several of them share their weights"),
    ("xlnet", "loreft", "tuning loreft does not work with XLNetModel"),
    ("mpt", "ia3", "peft does not list which maps of a mpt make keys, values and hidden units"),
])  # fmt: skip
def test_a_model_without_the_method_is_one_sentence(tmp_path, family, tuning, message):
    backbone = load_backbone(str(write_folder(tmp_path / family, family)), dtype="float32")
    with pytest.raises(SettingError, match=message):
        attached(backbone, make_config({"tuning": tuning}))


@pytest.mark.parametrize(("settings", "message"), [
    ({"tuning": "last_blocks", "blocks": 9}, "LlamaModel has 3 blocks, so the last 9 cannot learn; give --blocks"),
    ({"tuning": "loreft", "reft_layers": [4]}, "loreft cannot have layer 4 in LlamaModel, whose 3 layers"),
    ({"tuning": "loreft", "reft_rank": 99}, "loreft cannot have rank 99 in LlamaModel"),
    ({"tuning": "ia3", "targets": ["nothing"]}, "no linear map of the model is called 'nothing'"),
    ({"tuning": "ia3", "peft": {"nonsense": 1}}, "peft cannot put IA3 on .*nonsense"),
])  # fmt: skip
def test_sizes_that_a_model_does_not_have_are_one_sentence(models, settings, message):
    backbone = load_backbone(models["llama"], dtype="float32")
    with pytest.raises(SettingError, match=message):
        attached(backbone, make_config(settings))


@pytest.mark.parametrize(("settings", "message"), [
    ({"reft_positions": "all"}, "reft_positions 'all' name no tokens; write f5[+]l5"),
    ({"reft_positions": "f0"}, "reft_positions 'f0' name no tokens"),
    ({"tuning": "ia3", "reduce_intruders": True}, "reduce_intruders changes updates that LoRA has learnt"),
    ({"tuning": OWN_WEIGHTS[0], "quantise": 4}, "quantise packs weights that do not learn"),
    ({"tuning": "loreft", "diagnose": True}, "diagnose compares weights before and after, and tuning loreft"),
    ({"tuning": "lorra"}, "tuning 'lorra' is not understood; choose one of lora, ia3"),
])  # fmt: skip
def test_settings_that_do_not_go_together_are_one_sentence(settings, message):
    with pytest.raises(SettingError, match=message):
        make_config(settings)


def test_decide_says_that_it_knows_lora_alone(models):
    with pytest.raises(SettingError, match="rests on finished runs of LoRA, none of tuning prefix"):
        decide(planted_task(20, 8), [models["llama"]], config={"tuning": "prefix"})


def test_the_command_makes_a_tuning_and_its_page_names_it(models, tmp_path):
    write_rows(tmp_path / "texts.csv", rows_of(planted_task(40, 20)))
    layers = ("--tuning", "loreft", "--reft-layers", "1,3", "--reft-positions", "f1+l2")
    given = ("--route", "lora", "--model", models["llama"], "--steps", 3, "--dtype", "float32", "--out", "out")
    tokenworth("adapt", "texts.csv", *given, *layers, cwd=tmp_path)
    result = AdaptResult.load(tmp_path / "out")
    assert result.settings["reft_layers"] == [1, 3]
    assert "lora (loreft)" in (tmp_path / "out" / "report.html").read_text()
    kept = json.loads((tmp_path / "out" / "model" / "adapter" / "adapter_config.json").read_text())
    assert kept == {"first": 1, "last": 2, "layers": [1, 3], "rank": 4}
    table = tokenworth("predict", "out", "texts.csv", cwd=tmp_path).out
    assert "predicted" in table.splitlines()[0]
