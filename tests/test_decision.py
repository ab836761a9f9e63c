"""The decision from end to end: options, costs, advice, budget, pilots, labels, page and command line."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import tokenworth as tw
import tokenworth.decision.route_costs as costs
from commands import tokenworth
from planted import planted_task, rows_of, write_rows
from routes import model_at
from tokenworth.adaptation import make_config
from tokenworth.adaptation.recommended_settings import TaskSize, as_published, resolve
from tokenworth.backbones import account_of
from tokenworth.decision import Decision, calibration_of
from tokenworth.decision.advice import DRAWS, Option, pick, weigh
from tokenworth.decision.budget import Machine, named_machine, parse_budget
from tokenworth.decision.decision_summary import describe
from tokenworth.decision.few_labels import few_label_sentences
from tokenworth.decision.indicators import INDICATORS, imbalance, indicators_of
from tokenworth.decision.label_curves import beyond
from tokenworth.decision.pilot import SHARES, Narrowing, pilot_task
from tokenworth.decision.route_costs import Cost, bow_cost, route_cost
from tokenworth.decision.run_plan import plan_for
from tokenworth.errors import BackboneError, SettingError
from tokenworth.study import load_study, run_local

pytestmark = pytest.mark.formats


HERE = Machine("here", 1e9, measured=True, memory=1e12, price=None)


def option(route, f1, seconds, spread=0.01):
    draws = np.random.default_rng(0).normal(f1, spread, DRAWS)
    cost = Cost(1e9 * seconds, seconds, seconds / 3600, 0, 0, 0.0, 0.0, None, 0)
    return Option("m", route, "predicted", f1, f1 - spread, f1 + spread, cost, draws)


def test_the_cheapest_that_loses_little_is_picked():
    options = [option("lora", 0.90, 600), option("probe", 0.893, 5), option("bow", 0.80, 1)]
    weigh(options)
    assert pick(options, 0.01).route == "probe"
    assert pick(options, 0.005).route == "lora"
    assert pick(options, 0.2).route == "bow"
    assert [o.shortfall for o in options] == pytest.approx([0, 0.007, 0.1], abs=1e-9)
    assert sum(o.chance_best for o in options) == pytest.approx(1)


def test_who_runs_a_route_keeps_the_better():
    """A run that is expected to be worse than what one has is worth making where it is unsure and cheap enough."""
    has, sure, unsure = measured("bow", 0.60, 1), option("lora", 0.59, 60, 0.005), option("full", 0.59, 600, 0.08)
    options = [has, sure, unsure]
    weigh(options)
    by_chance = np.maximum(np.random.default_rng(7).normal(0.59, 0.08, 400_000), 0.60).mean()
    assert {o.route: o.f1_kept for o in options} == pytest.approx(
        {"bow": 0.60, "lora": 0.60, "full": by_chance}, abs=2e-3
    )
    assert pick(options, 0.01).route == "full"
    assert pick(options, 0.05).route == "bow"
    weigh([has, sure])
    assert pick([has, sure], 0.01).route == "bow"
    weigh(options, parse_budget("2min"))
    assert pick(options, 0.01).route == "bow", "what cannot be afforded is not tried"
    weigh([unsure])
    assert unsure.f1_kept == pytest.approx(unsure.draws.mean()), "nothing was measured to be kept"


def test_a_budget_takes_options_away():
    options = [option("lora", 0.90, 600), option("bow", 0.80, 1)]
    weigh(options, parse_budget("1min"))
    assert pick(options, 0.01).route == "bow"
    weigh(options, parse_budget("1e5flops"))
    assert pick(options, 0.01) is None
    weigh(options, parse_budget("$0.1", price=1.0))
    assert pick(options, 0.01).route == "bow"


def test_what_does_not_fit_into_the_machine_is_not_advised():
    options = [option("full", 0.95, 600), option("lora", 0.90, 60), option("bow", 0.80, 1)]
    options[0].cost = replace(options[0].cost, memory_bytes=30 * 10**9)
    card = named_machine("rtx4090")
    weigh(options, machine=card)
    assert [(o.fits, o.affordable) for o in options] == [(False, False), (True, True), (True, True)]
    chosen = pick(options, 0.01)
    assert chosen.route == "lora"
    said = " ".join(describe(options, chosen, 0.01, None, card))
    assert "training all weights of m is expected to bring 0.950, but takes at least 30.0 GB, and a rtx4090 has" in said
    weigh(options, parse_budget("1min"), card)
    said = " ".join(describe(options, pick(options, 0.01), 0.01, parse_budget("1min"), card))
    assert "Beyond the budget" not in said, "more time would not make it fit"
    weigh(options, machine=named_machine("a100"))
    assert pick(options, 0.01).route == "full"


def said_of(options, tolerance=0.01, budget=None, **more):
    weigh(options, budget)
    return describe(options, pick(options, tolerance), tolerance, budget, HERE, **more)


def measured(route, f1, seconds):
    return replace(option(route, f1, seconds), source="measured", model=None if route == "bow" else "m")


def test_advice_comes_in_stages():
    """What one has, the cheapest run that is expected to bring more, the end; what is wide is not promised."""
    has = [measured("bow", 0.70, 1), measured("probe", 0.785, 40)]
    said = said_of([*has, option("lora", 0.826, 150, 0.03), option("full", 0.85, 7200, 0.02)])
    assert said[0].startswith("Now: a probe on frozen states of m has weighted F1 0.785 (measured")
    assert said[0].endswith("for 40 seconds ($0.01); a bag of words has 0.700 for about a second ($0.00).")
    assert said[1].startswith("Next: LoRA of m, 4.1 points more: weighted F1 0.826 (predicted, 90 % interval 0.796 to")
    assert said[2].startswith("In the end: training all weights of m, weighted F1 0.850")
    known = said_of([*has, option("lora", 0.826, 150, 0.03), option("full", 0.83, 140, 0.2)])
    assert known[1].startswith("Next: LoRA of m"), "of two that take about as long the one that more is known of"
    wide = said_of([*has, option("lora", 0.826, 150, 0.10)])
    assert "cannot be told beforehand" in wide[1]
    assert wide[1].endswith("Where the better of the two is kept, running it is expected to bring 6.3 points more.")
    assert wide[2] == "The run itself is the cheapest way to know."
    long = said_of([*has, option("lora", 0.826, 3600, 0.10)])
    assert long[2].startswith("A pilot (--pilot) of an eighth of its steps")
    assert not any("In the end" in sentence for sentence in long)


@pytest.mark.parametrize(
    ("quarter", "tells", "then"),
    [(0.95, " and tells little: ", "95%, so that the run itself is the way to know."), (0.5, "; ", "50%.")],
)
def test_a_pilot_is_told_with_what_pilots_have_been_worth(quarter, tells, then):
    has = [measured("bow", 0.70, 1), measured("probe", 0.785, 40)]
    worth = Narrowing(dict(zip(SHARES, (0.97, quarter), strict=True)), 40)
    said = said_of([*has, option("lora", 0.826, 3600, 0.10)], pilot_worth={"lora": worth}.get)
    left = "on 40 runs that were made both ways it left the 90 % interval 97% as wide, a quarter of the steps "
    assert said[2].endswith(f"{tells}{left}{then}")


def test_a_tolerance_that_would_change_the_advice_is_told():
    has = [measured("bow", 0.70, 1), measured("probe", 0.785, 40)]
    said = said_of([*has, option("lora", 0.792, 150, 0.001)])
    assert said[-1] == "A tolerance below 0.7 points would change the advice to LoRA of m."
    said = said_of([*has, option("lora", 0.788, 150, 0.001)])
    assert not any("tolerance" in sentence for sentence in said), "below half a point anything unsure is worth a try"


def test_where_nothing_is_expected_to_bring_more():
    has = [measured("bow", 0.90, 1), measured("probe", 0.785, 40)]
    said = said_of([*has, option("lora", 0.82, 150, 0.03)])
    assert said[0].startswith("Now: a bag of words has weighted F1 0.900")
    assert said[1:] == ["Nothing else that can be afforded is expected to bring more than 1.0 point more."]
    able = said_of([*has, option("lora", 0.88, 150, 0.04)])
    assert able[2].startswith("Next, where more is wanted: LoRA of m (expected 0.880")
    assert "pilot" not in able[3]


def test_what_ran_here_has_fitted():
    """Larger than memory, a backbone was spread over the disk too."""
    probe = replace(option("probe", 0.9, 5), source="measured")
    probe.cost = replace(probe.cost, memory_bytes=10**12)
    weigh([probe], machine=Machine("here", 1e9, measured=True, memory=1e9))
    assert probe.fits
    weigh([probe], machine=named_machine("h200"))
    assert not probe.fits


@pytest.mark.parametrize(
    ("text", "kind", "limit"),
    [("2h", "seconds", 7200), ("90 min", "seconds", 5400), ("45s", "seconds", 45), ("1.5d", "seconds", 129_600),
     ("1e15flops", "flops", 1e15), ("$5", "money", 5)],
)  # fmt: skip
def test_budgets_are_read(text, kind, limit):
    found = parse_budget(text, price=2.0)
    assert (found.kind, found.limit) == (kind, limit)


@pytest.mark.parametrize("text", ["two hours", "-1h", "h", "5", "nanh", "$x"])
def test_budgets_that_are_none(text):
    with pytest.raises(SettingError, match="write it as 2h"):
        parse_budget(text, price=1.0)


def test_money_needs_a_price():
    with pytest.raises(SettingError, match="needs --price"):
        parse_budget("$5")


def test_hardware_is_named():
    assert named_machine("A100", 2.0).money(1800) == 1.0
    with pytest.raises(SettingError, match="choose from here, t4"):
        named_machine("abacus")


def test_imbalance_is_relative_entropy():
    assert imbalance([10, 10, 10]) == pytest.approx(0)
    assert imbalance([30, 10]) == pytest.approx(1 + (0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(2))
    assert imbalance([10, 0]) == pytest.approx(1)


def test_a_power_law_goes_on():
    sizes = [100, 200, 400, 800]
    f1 = [0.9 - 2 * n**-0.5 for n in sizes]
    found = beyond(sizes, f1)
    assert [point["texts"] for point in found] == [1600, 3200]
    assert found[0]["f1"] == pytest.approx(0.9 - 2 * 1600**-0.5, abs=2e-3)
    assert beyond([100, 200], [0.1, 0.2]) == []
    assert beyond(sizes, [0.5, 0.4, 0.45, 0.42])[0]["f1"] <= 0.5, "noise is not taken for a rise"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("decision")
    model_at(folder)
    write_rows(folder / "reviews.csv", rows_of(planted_task(60, 40)))
    return folder


@pytest.fixture(scope="module")
def decided(home):
    config = {"steps": 40, "max_length": 32}
    return tw.decide(str(home / "reviews.csv"), [str(home / "llama")], config=config, out=home / "out")


def test_a_decision_has_every_route_with_its_cost(decided, home):
    table = decided.table()
    assert {"bow", "probe", "lora", "full", "scratch"} <= set(table["route"])
    assert (table["f1"].diff().dropna() <= 0).all(), "best first"
    assert ((table["f1_low"] <= table["f1"]) & (table["f1"] <= table["f1_high"])).all()
    assert (table["seconds"] > 0).all()
    left, measured = decided.recommended["f1_kept"], table[table["source"] == "measured"]
    assert left >= measured["f1"].max() - 0.01
    assert (table["f1"] <= left + 0.01).all(), "nothing is expected to bring much more"
    assert (measured["f1_kept"] == measured["f1"]).all()
    assert table["shortfall"].min() == 0
    assert decided.sentences[0].startswith("Now: ")
    assert any("parameters" in warning and "calibrated from" in warning for warning in decided.warnings)
    again = Decision.load(home / "out")
    assert again.options == json.loads(decided.to_json())["options"]


def test_an_assessment_that_is_there_is_not_made_again(decided, home):
    model, begun = str(home / "llama"), []
    settings = {"config": {"steps": 40, "max_length": 32}, "started": begun.append}
    again = tw.decide(str(home / "reviews.csv"), [model], assessments={model: decided.assessments[0]}, **settings)
    assert begun == []
    assert again.assessments == decided.assessments
    measured = [[row["f1"] for row in each.options if row["source"] == "measured"] for each in (again, decided)]
    assert measured[0] == measured[1]


def test_an_assessment_of_other_texts_is_refused(decided, home):
    model = str(home / "llama")
    with pytest.raises(
        SettingError, match="is of other texts than reviews has here; give one of the same texts or non"
    ):
        tw.decide(str(home / "reviews.csv"), [model], assessments={model: decided.assessments[0]}, max_texts=20)


def test_a_backbone_that_cannot_be_counted_is_said_and_the_others_go_on(home, monkeypatch):
    """It can be assessed, and none of its routes has a price."""
    odd = model_at(home, "longformer", max_position_embeddings=80)
    priced = costs.account_of

    def refused(name, *rest, **settings):
        if "longformer" in name:
            raise BackboneError("LongformerModel does not run without weights")
        return priced(name, *rest, **settings)

    monkeypatch.setattr(costs, "account_of", refused)
    found = tw.decide(
        str(home / "reviews.csv"), [odd, str(home / "llama")], config={"max_length": 16}, labels=True, conventions=False
    )
    assert {row["model"] for row in found.options} == {None, "llama"}
    assert [warning for warning in found.warnings if "LongformerModel does not run without weights" in warning]
    assert {curve["model"] for curve in found.labels} == {None, "llama"}


def test_indicators_come_from_the_assessment(decided):
    said = indicators_of(decided.assessments[0])
    assert tuple(said) == INDICATORS
    assert said["log_texts"] == pytest.approx(np.log(70))
    summary = decided.assessments[0].summary()
    assert (said["probe_f1"], said["bow_f1"]) == (summary["best_probe_f1"], summary["bow_f1"])


def cells_with(*budgets):
    cells = pd.DataFrame(budgets, columns=["route", "steps", "lr"]).assign(own=False)
    return cells.assign(log_rate=np.log(cells["lr"]).round(6))


BUDGETS = cells_with(
    ("lora", 200, 0.001),
    ("lora", 350, 0.003),
    ("lora", 5000, np.nan),
    ("lora", 5000, np.nan),
    ("scratch", 1000, 0.0003),
)


TASK = planted_task(1000, 40)
WIDTH = 1000


def planned(plan, route, width=WIDTH):
    own = plan.of(route, width)
    return own.steps, own.lr


def test_a_plan_is_what_adapt_would_run_with_no_more_steps_than_were_measured(tmp_path):
    plan, widths = plan_for(None, BUDGETS, TASK), {"m": WIDTH}
    assert planned(plan, "lora") == (350, 6e-4), "three passes over 1,000 texts are 375"
    assert planned(plan, "scratch") == (1000, 2e-4)
    assert planned(plan, "full") == (375, 6e-5), "nothing is known of it: the rule"
    assert plan.of("lora", WIDTH).selection == "last"
    assert plan.warnings(widths) == []
    assert plan.how_to_run("lora", WIDTH) == ["As planned it is run by tokenworth adapt with --route lora --steps 350."]
    assert plan.how_to_run("probe", WIDTH) == []
    few = plan_for(None, BUDGETS, planted_task(400, 40))
    assert few.of("lora", WIDTH) == resolve(make_config(), "lora", WIDTH, TaskSize(400, 396))[0]
    assert few.how_to_run("lora", WIDTH) == ["As planned it is run by tokenworth adapt with --route lora."]
    assert planned(few, "lora", 200) == (200, 3e-3)


def test_what_is_asked_for_is_planned(tmp_path):
    widths = {"m": WIDTH}
    other = plan_for({"rank": 8, "max_length": 128, "checkpoint_seconds": 5.0}, BUDGETS, TASK)
    assert other.how_to_run("lora", WIDTH)[0].endswith("--steps 350 --rank 8 --max-length 128.")
    assert other.how_to_run("scratch", WIDTH)[0].endswith("--steps 1000 --max-length 128."), "it has no rank"
    filed = plan_for({"batch": 4, "pooling": "mean"}, BUDGETS, TASK)
    assert filed.how_to_run("lora", WIDTH)[0].endswith("--batch 4 and your file of settings (--config).")
    plan = plan_for({"steps": 10_000}, BUDGETS, TASK)
    assert planned(plan, "lora") == (10_000, 6e-4)
    assert plan.how_to_run("lora", WIDTH)[0].endswith("--route lora --steps 10000.")
    assert "m: " in plan.warnings(widths)[0]
    wanted = "lora 200 to 350 steps at 0.001 to 0.003 (planned: 10,000 steps at 0.0006), scratch 1,000 steps at 0.0003"
    assert wanted in plan.warnings(widths)[0]
    assert "at 0.1)" in plan_for({"lr": 0.1}, BUDGETS, TASK).warnings(widths)[0]
    (tmp_path / "run.yaml").write_text("lr: 1e-4\nrank: 4\n")
    filed = plan_for(tmp_path / "run.yaml", BUDGETS, TASK).of("lora", WIDTH)
    assert (filed.steps, filed.lr, filed.rank) == (350, 1e-4, 4)
    published = plan_for({"protocol": True}, BUDGETS, TASK)
    assert planned(published, "lora") == (10_000, 1e-4), "all of it is asked for"
    assert published.how_to_run("lora", WIDTH)[0].endswith("--route lora --protocol.")


def test_own_studies_are_planned_by_before_the_packages():
    own = cells_with(("lora", 300, 1e-4)).assign(own=True)
    plan = plan_for(None, pd.concat([own, BUDGETS], ignore_index=True), TASK)
    assert (plan.of("lora", WIDTH).steps, plan.of("scratch", WIDTH).steps) == (300, 1000)


def test_the_forecast_is_of_the_steps_that_adapt_will_run(home):
    """Cost, plan and run have the same steps."""
    task, model = tw.load_task(str(home / "reviews.csv")), str(home / "llama")
    plan = plan_for({"mislabelled": False}, BUDGETS, task)
    config = plan.of("full", account_of(model).width)
    machine = Machine("here", 1e10, measured=True, memory=1e9, price=None)
    forecast, half = (
        route_cost(model, task, "full", machine, replace(config, steps=steps)).flops
        for steps in (config.steps, config.steps // 2)
    )
    result = tw.adapt(model, task, "full", config={"mislabelled": False})
    assert result.settings["steps"] == config.steps
    assert result.settings["lr"] == config.lr
    assert half < 0.7 * forecast
    assert result.cost["train_flops"] == pytest.approx(forecast, rel=0.1), "the last pass over the texts is drawn anew"


def test_a_decision_is_priced_as_it_is_predicted(home):
    found = tw.decide(str(home / "reviews.csv"), [str(home / "llama")])
    assert found.settings["plan"]["llama"]["lora"] == {"steps": 200, "lr": 0.003}
    assert not any("with other settings" in warning for warning in found.warnings)
    ten = tw.decide(str(home / "reviews.csv"), [str(home / "llama")], config={"steps": 10_000})
    assert any("with other settings" in warning for warning in ten.warnings)
    own, other = ({row["route"]: row["flops"] for row in one.options} for one in (found, ten))
    assert other["full"] / own["full"] == pytest.approx(50, rel=0.05)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_a_decision_by_another_metric(home, metric):
    found = tw.decide(
        str(home / "reviews.csv"), [str(home / "llama")], config={"steps": 40, "max_length": 32}, metric=metric
    )
    bow = next(probe for probe in found.assessments[0].probes if probe["kind"] == "bow")
    measured = next(row for row in found.options if row["route"] == "bow")
    assert measured["f1"] == bow[metric]
    assert measured["f1_low"] <= bow[metric] <= measured["f1_high"]
    said = found.sentences[0]
    assert f"{metric.replace('_f1', ' F1')} 0." in said or f"{metric.replace('_f1', ' F1')} 1." in said
    learned = found.explanation[0]
    assert learned["route"] in ("lora", "full", "scratch", "prompt")


def test_costs_are_counted(home):
    task = tw.load_task(str(home / "reviews.csv"))
    machine = Machine("here", 1e10, measured=True, memory=1e9, price=3.6)
    config = as_published(tw.AdaptConfig(steps=10, rank=2, max_length=32))
    found = {
        route: route_cost(str(home / "llama"), task, route, machine, config) for route in ("probe", "lora", "full")
    }
    assert found["full"].trainable > found["lora"].trainable > found["probe"].trainable
    assert found["lora"].storage_bytes == 4 * found["lora"].trainable
    assert found["lora"].million_flops == found["probe"].million_flops
    below = route_cost(str(home / "llama"), task, "probe", machine, config, layer=0)
    assert below.million_flops == 0  # the state before the first block is read from a table
    assert below.flops == found["probe"].flops
    assert found["full"].money == pytest.approx(found["full"].seconds / 1000)
    doubled = route_cost(str(home / "llama"), task, "full", machine, replace(config, steps=20))
    assert doubled.flops > 1.5 * found["full"].flops
    assert bow_cost(task, machine).flops == 0


@pytest.mark.slow
def test_own_studies_teach_and_several_backbones_compete(home):
    (home / "own.yaml").write_text(
        "backbones: [llama]\ntasks: [reviews.csv]\nroutes: [assess, lora]\nsettings: {steps: 4, mislabelled: false}\n"
    )
    run_local(load_study(home / "own.yaml"), home / "study", workers=1)
    cells = calibration_of([home / "study"])
    assert list(cells["route"]) == ["lora"]
    assert cells["steps"][0] == 4
    with pytest.raises(SettingError, match="holds no study"):
        calibration_of([home])
    found = tw.decide(
        str(home / "reviews.csv"), [str(home / "llama"), str(home / "none")], calibration=[home / "study"],
        config={"steps": 40, "max_length": 32}, budget="1e3flops", labels=True,
    )  # fmt: skip
    assert "reviews" in str(found.task["name"])
    assert "llama" in found.settings["calibration"]["backbones"]
    assert any("none" in warning for warning in found.warnings)
    assert [row["route"] for row in found.options if row["affordable"]] == ["bow"]
    assert any("Beyond the budget" in sentence for sentence in found.sentences) or found.options[0]["route"] == "bow"
    curves = {curve["route"]: curve for curve in found.labels}
    assert curves["bow"]["texts"][-1] == 70
    assert {"bow", "probe", "lora"} <= set(curves)


def test_a_pilot_spends_its_share_and_leaves_the_test_split_alone(home):
    task = planted_task(100, 40)
    own = pilot_task(task, 0)
    assert set(own.test.texts) <= set(task.train.texts)
    assert not set(own.test.texts) & set(own.train.texts) - set(task.train.texts)
    assert len(own.train) + len(own.test) == len(task.train)
    found = tw.decide(task, [str(home / "llama")], config={"steps": 16, "max_length": 32}, pilot=0.9)
    assert found.pilots
    assert {row["steps"] for row in found.pilots} <= {2, 4}
    assert all(0 <= row["f1"] <= 1 for row in found.pilots)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tolerance": 2}, "tolerance must be at least 0 and below 1, not 2"),
        ({"pilot": 3}, "pilot 3"),
        ({"hardware": "x"}, "hardware 'x'"),
        ({"budget": "x"}, "budget 'x'"),
        ({"metric": "ece"}, "metric 'ece' is not one a decision can be made by; choose weighted_f1, accuracy"),
    ],
)
def test_mistakes_are_named(home, given, message):
    with pytest.raises(SettingError, match=message):
        tw.decide(planted_task(20), [str(home / "llama")], config={"steps": 4}, **given)


def test_the_command_line(home):
    done = tokenworth(
        "decide", "reviews.csv", "llama", "--metric", "f1", "--steps", 40, "--max-length", 32, "--budget",
        "$5", "--price", 2, "--hardware", "a100", "--out", "page", cwd=home,
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "- Now: " in done.out
    assert (home / "page" / "report.html").stat().st_size > 1_000_000
    assert json.loads((home / "page" / "decision.json").read_text())["settings"]["machine"]["name"] == "a100"
    done = tokenworth("decide", "reviews.csv", "llama", "--budget", "soon", cwd=home)
    assert done.code == 2
    assert "write it as 2h" in done.err


def test_contrastive_training_is_said_to_be_measured_where_labels_are_few(tmp_path):
    """Of an encoder alone, which no package cells know; not where labels are many or own studies have the route."""
    task, encoder = planted_task(40, 30), model_at(tmp_path, "bert")
    found = tw.decide(task, [encoder], config={"max_length": 32})
    said = [sentence for sentence in found.sentences if "contrastive" in sentence]
    assert len(said) == 1
    assert said[0].startswith("Labels are few (20 a class): what contrastive training of bert brings cannot be told")
    assert said[0].endswith("(tokenworth adapt with --route contrastive).")
    assert "contrastive" not in set(found.table()["route"])
    many = SimpleNamespace(task=planted_task(140, 30))
    assert few_label_sentences(many) == []
    known = SimpleNamespace(task=task, forecaster=SimpleNamespace(routes=lambda: ["contrastive"]))
    assert few_label_sentences(known) == []
