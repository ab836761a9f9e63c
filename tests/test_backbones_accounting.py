"""The catalog and what it counts: exact against the papers, and against a count written here."""

import csv
import json
import sys

import pytest
import torch

from small_models import FAMILIES, write_folder
from tokenworth.backbones import CATALOG, PUBLISHED, TABLE_2, account_of, load_backbone, meta_model
from tokenworth.backbones.loading.configuration_class import published_config
from tokenworth.cli import main
from tokenworth.errors import BackboneError
from tokenworth.report.terminal.account_tables import in_words

# Table 2 of the first paper: original, then LoRA of rank 2, 4, 8, 16, as exact integers.
PAPER = {
    "OpenELM-270M": (312487168, 162560, 325120, 650240, 1300480),
    "OpenELM-450M": (506331136, 239360, 478720, 957440, 1914880),
    "OpenELM-1_1B": (1145427456, 445696, 891392, 1782784, 3565568),
    "OpenELM-3B": (3134951424, 862208, 1724416, 3448832, 6897664),
    "phi-2": (2779632640, 1310720, 2621440, 5242880, 10485760),
    "Mistral-7B-v0.1": (7241732096, 1179648, 2359296, 4718592, 9437184),
    "arctic-embed-xs": (34285824, 55296, 110592, 221184, 442368),
    "arctic-embed-s": (44932608, 110592, 221184, 442368, 884736),
    "arctic-embed-m": (132332544, 221184, 442368, 884736, 1769472),
    "arctic-embed-l": (365346816, 589824, 1179648, 2359296, 4718592),
}


@pytest.fixture
def command(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["tokenworth", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert not ended.value.code, capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.mark.slow
def test_table_2_by_the_command(command):
    rows = {row["name"]: row for row in json.loads(command("backbones", "--params", "--ranks", "2,4,8,16", "--json"))}
    assert set(rows) == set(PUBLISHED)
    assert [name for name in rows if rows[name]["in Table 2"]] == list(TABLE_2) == list(PAPER)
    for name, cells in PAPER.items():
        assert (rows[name]["original"], *(rows[name][f"lora_r{r}"] for r in (2, 4, 8, 16))) == cells


def test_table_2_is_the_one_on_record(shared):
    with (shared / "reference" / "table2_parameters.csv").open() as file:
        recorded = {(row["model"], row["row"]): (int(row["exact"]), row["printed"]) for row in csv.DictReader(file)}
    assert len(recorded) == 50
    for name, cells in PAPER.items():
        for row, cell in zip(("original", "lora_r2", "lora_r4", "lora_r8", "lora_r16"), cells, strict=True):
            exact, printed = recorded[name, row]
            assert (cell, in_words(cell)) == (exact, printed)


@pytest.mark.slow
def test_true_counts_and_configurations(shared):
    reference = json.loads((shared / "reference" / "backbones.json").read_text())["models"]
    assert {entry.hub for entry in CATALOG.values()} == set(reference)
    for name, entry in CATALOG.items():
        known, found = reference[entry.hub], account_of(name)
        assert (found.parameters, found.embedding) == tuple(
            known["parameters"][key] for key in ("backbone", "token_embedding")
        )
        assert found.with_head == known["parameters"].get("causal_lm", found.parameters)
        assert found.lora_parameters(1) == known["lora"]["parameters_per_rank"]
        for key, value in entry.config.items():
            assert known["config"][key] == value, (name, key)


def test_where_the_paper_counts_a_matrix_that_is_not_there():
    assert account_of("arctic-embed-xs").counted_in_paper - account_of("arctic-embed-xs").with_head == 30522 * 384
    assert account_of("Mistral-7B-v0.1").counted_in_paper == account_of("Mistral-7B-v0.1").with_head


# --- FLOPs, bytes, cache: counted by hand for one decoder and one encoder


def test_a_decoder_by_hand():
    found, config = account_of("Qwen2-0.5B", context=200), CATALOG["Qwen2-0.5B"].config
    width, inner, kv = config["hidden_size"], config["intermediate_size"], 2 * 64
    linear = 2 * width * width + 2 * width * kv + 3 * width * inner
    assert {block.linear_flops for block in found.blocks} == {2 * 200 * linear}
    assert {block.parameters for block in found.blocks} == {linear + width + 2 * kv + 2 * width}
    pairs = 4 * 200 * width / 2  # scores and values, half of the pairs
    assert found.flops_per_token() == 24 * (2 * linear + pairs)
    assert found.flops_per_token(layer=7) == 7 * (2 * linear + pairs)
    assert found.cache_bytes_per_token(2) == 24 * 2 * kv * 2
    assert found.moment_bytes() == 25 * 16 * width**2


def test_an_encoder_by_hand():
    found = account_of("arctic-embed-s", context=100)
    linear = 12 * 384**2
    assert found.flops_per_token() == 12 * (2 * linear + 4 * 100 * 384)
    assert found.cache_bytes_per_token() == 0


def test_layers_of_openelm_differ():
    found = account_of("OpenELM-270M")
    config = published_config(CATALOG["OpenELM-270M"])
    assert [block.cache_width for block in found.blocks] == [2 * 64 * heads for heads in config.num_kv_heads]
    assert found.blocks[0].parameters < found.blocks[-1].parameters


@pytest.mark.parametrize("family", list(FAMILIES))
def test_any_folder_can_be_counted(tmp_path, family):
    folder = write_folder(tmp_path, family)
    found, backbone = account_of(str(folder), context=12), load_backbone(str(folder), device="cpu", dtype="float32")
    assert found.parameters == backbone.n_parameters
    assert (len(found.blocks), found.width, found.causal) == (backbone.n_layers, backbone.width, backbone.causal)


# --- without files


@pytest.mark.parametrize("name", list(CATALOG))
def test_each_is_built_on_the_meta_device(name):
    model = meta_model(published_config(CATALOG[name]))
    assert {weights.device.type for weights in model.parameters()} == {"meta"}


@pytest.mark.formats
def test_random_weights_by_name_read_bytes_where_there_is_no_tokenizer():
    backbone = load_backbone("arctic-embed-xs@random", device="cpu", dtype="float32")
    assert (backbone.n_parameters, backbone.n_layers, backbone.random) == (22565376, 6, True)
    assert "read byte by byte" in backbone.notes[0]
    assert "--tokenizer" in backbone.notes[0]
    assert backbone.tokenizer("hé")["input_ids"] == [104, 195, 169]
    same = load_backbone("Snowflake/snowflake-arctic-embed-xs@random", device="cpu", tokenizer="bytes", dtype="float32")
    assert same.fingerprint == backbone.fingerprint
    assert same.notes == ()
    assert all(torch.equal(a, b) for a, b in zip(backbone.model.parameters(), same.model.parameters(), strict=True))
    assert load_backbone("arctic-embed-xs@random", device="cpu", seed=1).fingerprint != backbone.fingerprint


@pytest.mark.formats
def test_a_tokenizer_named_apart(tmp_path):
    folder = write_folder(tmp_path / "words", "bert")
    backbone = load_backbone("arctic-embed-xs@random", device="cpu", tokenizer=str(folder))
    assert backbone.tokenizer("w1")["input_ids"] == [0, 5, 2]
    with pytest.raises(BackboneError, match="no folder"):
        load_backbone("arctic-embed-xs@random", device="cpu", tokenizer="./nowhere")
    other = load_backbone(str(folder), device="cpu", tokenizer="bytes")
    assert other.fingerprint != load_backbone(str(folder), device="cpu").fingerprint


@pytest.mark.slow
def test_the_tables_for_people(command):
    shown = command("backbones", "--params", "--ranks", "4")
    assert "312.49M" in shown
    assert "lora_r4" in shown
    blocks = json.loads(command("backbones", "OpenELM-270M", "--json", "--dtype", "float32"))
    assert [row["block"] for row in blocks] == ["embedding", *map(str, range(1, 17)), "rest", "all"]
    assert blocks[-1]["parameters"] == 271527168
    assert blocks[-1]["weight bytes"] == 4 * 271527168
    assert "width 1280, texts of 64 tokens" in command("backbones", "OpenELM-270M", "--context", "64")
