"""Relations between figures: against SciPy, against what the papers printed, and as files and a page."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import linregress, spearmanr

from tokenworth.report.pages.study_charts import save_figures
from tokenworth.report.report_page import write_study_page
from tokenworth.study import beside_published, by_route, load_study, relations, row_means, shipped_studies
from tokenworth.study.correlation import rank_correlation
from tokenworth.study.published_relations import published


def planted_table(tasks=12):
    """Cells of a study in which LoRA gains less where NTPS is high, and the gap over scratch rises with tokens."""
    rng, rows = np.random.default_rng(0), []
    for i in range(tasks):
        ntps, tokens = 0.2 + 0.05 * i, 10 ** (4 + 0.2 * i)
        place = {"task": f"task{i}", "backbone": "small", "seed": 0, "state": "finished", "key": str(i)}
        f1 = {"probe": 0.5 + 0.02 * i, "lora": 0.8 - 0.01 * i, "scratch": 0.8 - 0.04 * i + 0.001 * rng.normal()}
        rows.append({**place, "route": "assess", "ntps": ntps, "ntps_published": ntps, "tokens_of_texts": tokens})
        rows += [{**place, "route": route, "weighted_f1": value, "setting lr": value} for route, value in f1.items()]
    table = pd.DataFrame(rows)
    table["setting lr"] = table["route"].map({"lora": 1e-3, "scratch": 1e-4})
    return table


def test_rank_correlation_is_scipys_with_an_exact_enough_p():
    rng = np.random.default_rng(1)
    x = rng.normal(size=15)
    y = x + rng.normal(size=15)
    found, true = rank_correlation(x, y), spearmanr(x, y)
    assert found["r"] == pytest.approx(true.statistic)
    assert found["p"] == pytest.approx(true.pvalue, abs=0.02)
    assert found["low"] < found["r"] < found["high"]
    shuffled = [rank_correlation(x, rng.normal(size=15), seed=i)["p"] for i in range(40)]
    assert np.mean(np.array(shuffled) < 0.05) < 0.2


def test_planted_relations_are_found():
    found = {relation.name: relation for relation in relations(planted_table())}
    assert {"gap-tokens", "ntps-probe", "ntps-gain", "ntps-published-gain"} <= set(found)
    ours = found["ntps-gain"].statistics[0]
    assert ours["r"] == pytest.approx(-1)
    assert ours["p"] < 0.001
    fit = found["gap-tokens"].statistics[0]
    points = found["gap-tokens"].points
    assert fit["slope"] == pytest.approx(linregress(points["x"], points["y"]).slope)
    assert fit["r2"] > 0.99
    assert "ntps-excess-gain" not in found, "what was not computed is not drawn"


def test_published_correlations_are_reproduced():
    """Spearman r over the 12 data sets as the authors' notebooks define it: minus the plain one for the gain."""
    found = {relation.name: relation for relation in relations(planted_table())}
    by_name = {
        row["backbone"]: row["r"] for row in found["ntps-published-gain"].statistics if row["source"] == "published"
    }
    against = {
        row["backbone"]: row["r"] for row in found["ntps-published-probe"].statistics if row["source"] == "published"
    }
    assert len(by_name) == len(against) == 8
    assert -by_name["Qwen2-0.5B"] == pytest.approx(0.769231, abs=1e-6)
    assert against["Qwen2-7B"] == pytest.approx(0.818182, abs=1e-6)


def test_all_published_correlations(shared):
    known = json.loads((shared / "reference" / "correlations.json").read_text())["models"]
    found = {relation.name: relation for relation in relations(planted_table())}
    for name, sign, kind in (("ntps-published-gain", -1, "gain"), ("ntps-published-probe", 1, "accuracy")):
        ours = {row["backbone"]: row["r"] for row in found[name].statistics if row["source"] == "published"}
        for model, values in known.items():
            assert sign * ours[model.split("/")[-1]] == pytest.approx(values[kind]["r"], abs=1e-5), (model, kind)


def test_table_1_comes_whole():
    printed = published("table1")
    assert len(printed) == 264
    assert printed.groupby(["backbone", "route"]).size().eq(12).all()
    means = printed.groupby(["backbone", "route"])["f1_percent"].mean()
    assert means["OpenELM-450M", "lora"] == pytest.approx(86.05, abs=0.005)
    assert set(printed["task"]) <= set(load_study("table1").tasks)
    names = {name.split("/")[-1] for name in load_study("table1").backbones}
    assert names == set(printed["backbone"])


def test_published_numbers_stand_beside_ours():
    table = planted_table()
    table["task"] = table["task"].replace({"task0": "sst2"})
    table["backbone"] = "Qwen2-0.5B"
    beside = beside_published(table).set_index("task")
    printed = published("table1").set_index(["backbone", "task", "route"])["f1_percent"]
    assert beside.loc["sst2", "published lora"] == pytest.approx(printed["Qwen2-0.5B", "sst2", "lora"] / 100)
    assert np.isnan(beside.loc["task1", "published lora"])
    assert row_means(table)["lora"][0] == pytest.approx(0.745)


def test_rates_that_belong_to_a_route_are_no_axis():
    assert "setting lr" not in beside_published(planted_table()).columns


def test_figures_and_the_page(tmp_path):
    table = planted_table()
    found = relations(table)
    made = save_figures(found, tmp_path)
    assert {path.suffix for path in made} == {".png", ".svg"}
    assert len(made) == 2 * len(found)
    first = {path.name: path.read_bytes() for path in made}
    save_figures(relations(planted_table()), tmp_path)
    assert {path.name: path.read_bytes() for path in made} == first, "the same figures, byte for byte"
    page = write_study_page(
        "planted", table, beside_published(table), row_means(table), found, tmp_path / "report.html"
    )
    assert "What LoRA brings over training from random weights" in page.read_text()


@pytest.mark.parametrize("name", shipped_studies())
def test_every_shipped_study_is_understood(name):
    study = load_study(name)
    cells = study.cells()
    assert len(cells) > 5
    assert {cell.route for cell in cells} == set(study.routes)
    smaller = study.only([*study.tasks[:1], study.backbones[0]]).cells()
    assert 0 < len(smaller) <= len(cells)
    assert {cell.backbone for cell in smaller} <= {None, study.backbones[0]}


@pytest.mark.slow
@pytest.mark.formats
def test_the_smoke_study_runs(shared, tmp_path):
    from tokenworth.study import run_local

    study = load_study("smoke", models=shared / "models")
    assert run_local(study, tmp_path / "smoke", workers=2) == {"finished": 7}


def test_table_2_is_a_study_and_exact(tmp_path):
    from tokenworth.study import read_table, run_local

    assert run_local(load_study("table2").only(["microsoft/phi-2"]), tmp_path, workers=1) == {"finished": 4}
    table = read_table(tmp_path).set_index("setting rank")
    assert table["trainable"].to_dict() == {2: 1_310_720, 4: 2_621_440, 8: 5_242_880, 16: 10_485_760}
    assert (table["printed"] > table["parameters"]).all()


def test_cells_of_two_versions_are_told_apart():
    table = planted_table(tasks=1)
    newer = table.assign(version="2", weighted_f1=table["weighted_f1"] + 0.1)
    wide = by_route(pd.concat([table.assign(version="1"), newer], ignore_index=True)).set_index("version")
    assert wide.loc["2", "lora"] - wide.loc["1", "lora"] == pytest.approx(0.1)
    assert "version" not in by_route(newer).columns


def test_cells_of_two_number_formats_are_told_apart():
    table = planted_table(tasks=1).assign(dtype="float32")
    narrow = table.assign(dtype="bfloat16", weighted_f1=table["weighted_f1"] + 0.1)
    wide = by_route(pd.concat([table, narrow], ignore_index=True)).set_index("dtype")
    assert wide.loc["bfloat16", "lora"] - wide.loc["float32", "lora"] == pytest.approx(0.1)
    assert "dtype" not in by_route(table.assign(dtype=table["dtype"].where(table["route"] != "bow"))).columns
