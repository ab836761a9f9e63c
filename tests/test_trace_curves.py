"""Crossings, fits and relations against planted curves whose truth is known."""

import numpy as np
import pytest

from planted import planted_task
from tokenworth.probes.metrics import weighted_f1 as one_f1
from tokenworth.tracing.crossing import INSIDE, NEVER, START, crossing_tokens, find_crossing, order_statistic
from tokenworth.tracing.curve_fit import fit_curve
from tokenworth.tracing.f1_curves import RESAMPLES, Curve, make_curves
from tokenworth.tracing.score_relations import relations
from traces import TOKENS, answers, rising

INF = float("inf")


def slow_crossing(tokens, difference):
    """As the definition says it, walking from the end."""
    for k in range(len(tokens) - 1, -1, -1):
        if difference[k] <= 0:
            if k == len(tokens) - 1:
                return INF
            share = -difference[k] / (difference[k + 1] - difference[k])
            if tokens[k] == 0:
                return share * tokens[k + 1]
            return float(np.exp(np.log(tokens[k]) + share * (np.log(tokens[k + 1]) - np.log(tokens[k]))))
    return tokens[0]


def test_crossings_of_many_curves_equal_the_definition():
    rng = np.random.default_rng(0)
    tokens = np.array(TOKENS, dtype=float)
    difference = rng.normal(np.linspace(-1, 1, len(tokens)), 0.8, size=(500, len(tokens)))
    difference[:50] = np.abs(difference[:50])
    expected = [slow_crossing(tokens, row) for row in difference]
    np.testing.assert_allclose(crossing_tokens(tokens, difference), expected, rtol=1e-12)
    assert INF in expected
    assert 0.0 in expected


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        ([-1, 1, 1], 50.0),  # straight in tokens from 0
        ([-1, -1, 1], 1000.0),  # half the way in log tokens from 100 to 10,000
        ([1, -1, 1], 1000.0),  # an early crossing that is undone does not count
        ([-1, 1, -1], INF),
        ([-1, 1, 0], INF),  # being equal is not being above
        ([1, 1, 1], 0.0),
    ],
)
def test_only_the_crossing_that_is_not_undone_counts(difference, expected):
    found = crossing_tokens(np.array([0.0, 100.0, 10_000.0]), np.array([difference], dtype=float))
    np.testing.assert_allclose(found, [expected])


def test_one_checkpoint_is_before_or_after():
    assert crossing_tokens(np.array([7.0]), np.array([[1.0], [-1.0]])).tolist() == [7.0, INF]


def test_f1_of_the_curves_is_that_of_the_metrics_and_its_resamples_are_of_texts():
    rng, true = np.random.default_rng(1), planted_task(10, 400, 3).test.labels
    said = rng.integers(3, size=(2, len(true)))
    curves = make_curves(true, {"a": [[said[0]]], "b": [[said[1]], [said[0]]]}, 3)
    assert curves["a"].f1_K[0] == pytest.approx(one_f1(true, said[0], 3))
    assert curves["b"].drawn_BK.shape == (RESAMPLES, 2)
    np.testing.assert_array_equal(curves["a"].drawn_BK[:, 0], curves["b"].drawn_BK[:, 1])  # paired: the same texts
    spread = np.std([one_f1(true[r], said[0][r], 3) for r in rng.integers(len(true), size=(400, len(true)))])
    assert curves["a"].drawn_BK.std() == pytest.approx(spread, rel=0.15)


def test_seeds_are_resampled_with_the_texts():
    rng, true = np.random.default_rng(2), planted_task(10, 2000).test.labels
    apart = [answers(true, share, rng) for share in (0.5, 0.9)]
    two, one = (make_curves(true, {"a": [seeds]}, 2)["a"] for seeds in (apart, apart[:1]))
    assert two.f1_K[0] == pytest.approx(0.7, abs=0.02)
    assert two.drawn_BK.std() > 5 * one.drawn_BK.std()


def test_many_texts_are_resampled_in_parts(monkeypatch):
    true = planted_task(10, 300).test.labels
    monkeypatch.setattr("tokenworth.tracing.f1_curves._WEIGHTS_AT_ONCE", 900)
    drawn = make_curves(true, {"a": [[true]]}, 2)["a"].drawn_BK
    assert drawn.shape == (RESAMPLES, 1)
    assert (drawn == 1).all()


def planted_crossing(seed, *, n_test=800, reference=0.75, start=0.55, slope=0.1):
    """What is found, and the truth: right with `start + slope log10(tokens / 10,000)` against `reference`."""
    rng, true = np.random.default_rng(seed), planted_task(10, n_test).test.labels
    level = rising(start, slope)
    predicted = {"bow": [[answers(true, reference, rng)]], "probe": [[answers(true, level(at), rng)] for at in TOKENS]}
    curves = make_curves(true, predicted, 2, seed=seed)
    truth = 10_000 * 10 ** ((reference - start) / slope)
    return find_crossing(TOKENS, curves["probe"], [curves["bow"]]), truth


def test_the_interval_holds_the_known_crossing_as_often_as_it_says():
    """190 of 200 held it when this was written; at 95 % fewer than 51 of 60 come once in 1,400 tries."""
    found = [planted_crossing(seed) for seed in range(60)]
    inside = sum((one["low"] or INF) <= truth <= (INF if one["high"] is None else one["high"]) for one, truth in found)
    assert inside >= 51
    values = [one["tokens"] / truth for one, truth in found if one["tokens"] is not None]
    assert np.exp(np.median(np.log(values))) == pytest.approx(1, abs=0.25)


def test_less_noise_makes_a_narrower_interval():
    widths = []
    for n_test in (300, 6000):
        one, _ = planted_crossing(5, n_test=n_test)
        widths.append(np.log(one["high"] or TOKENS[-1]) - np.log(one["low"]))
    assert widths[1] < 0.6 * widths[0]


def flat(value, n=RESAMPLES):
    return Curve(np.array([value]), np.full((n, 1), value))


def noisy(values, scale=0.01):
    values = np.asarray(values, dtype=float)
    return Curve(values, values + np.random.default_rng(3).normal(0, scale, (RESAMPLES, len(values))))


def test_never_and_from_the_start_are_answers():
    tokens, curve = [0, 100, 1000], noisy([0.6, 0.7, 0.8])
    never = find_crossing(tokens, curve, [flat(0.95)])
    assert (never["state"], never["tokens"], never["low"], never["high"]) == (NEVER, None, None, None)
    assert never["share_never"] == 1
    assert never["sure_from"] is None
    start = find_crossing(tokens, curve, [flat(0.3)])
    assert (start["state"], start["tokens"], start["low"], start["high"]) == (START, 0, 0, 0)
    assert start["share_start"] == 1
    both = find_crossing(tokens, curve, [flat(0.3), flat(0.75)])
    assert both["state"] == INSIDE
    assert both["tokens"] == pytest.approx(np.sqrt(100 * 1000))
    assert both["sure_from"] == 1000
    assert both["lead"] == pytest.approx(0.05)


def test_an_interval_may_be_open():
    one = find_crossing([0, 100, 1000], noisy([0.6, 0.7, 0.76], 0.02), [flat(0.75)])
    assert one["state"] == INSIDE
    assert one["high"] is None
    assert 0.2 < one["share_never"] < 0.45


def test_order_statistics_take_infinity_as_it_is():
    values = np.array([1.0, 2.0, INF, INF])
    assert [order_statistic(values, share) for share in (0.0, 0.5, 0.51, 1.0)] == [1.0, 2.0, INF, INF]


FLOPS = [0.0, *(10.0**power for power in range(12, 20))]


def test_a_line_is_recovered_and_its_crossing_extrapolated():
    curve = noisy([0.4, *(0.5 + 0.02 * np.log(c / 1e12) for c in FLOPS[1:])], 0.002)
    found = fit_curve(FLOPS, curve, {"near": flat(0.6), "far": flat(0.85), "gone": flat(5.0)})
    assert found["form"] == "line"
    assert found["points"] == 8
    assert found["constants"]["b"] == pytest.approx(0.02, rel=1e-6)
    assert found["slope"] == pytest.approx(0.02 * np.log(10))
    near, far, gone = (found["crossings"][name] for name in ("near", "far", "gone"))
    assert near["flops"] == pytest.approx(1e12 * np.exp(5), rel=1e-6)
    assert near["low"] < near["flops"] < near["high"]
    assert not near["beyond"]
    assert far["beyond"]
    assert far["flops"] == pytest.approx(1e12 * np.exp(17.5), rel=1e-6)
    assert gone == {"flops": None, "low": None, "high": None, "beyond": True}


def test_a_saturating_curve_is_told_from_a_line():
    curve = noisy([0.4, *(0.9 - 0.4 * (c / 1e12) ** -0.25 for c in FLOPS[1:])], 0.002)
    found = fit_curve(FLOPS, curve, {"below": flat(0.85), "above the top": flat(0.95)})
    assert found["form"] == "power"
    assert found["constants"]["top"] == pytest.approx(0.9, abs=0.01)
    assert found["constants"]["alpha"] == pytest.approx(0.25, rel=0.1)
    assert found["crossings"]["below"]["flops"] == pytest.approx(1e12 * 8.0**4, rel=0.3)
    assert found["crossings"]["above the top"]["flops"] is None


def test_three_checkpoints_are_too_few_to_fit():
    assert fit_curve([0.0, 1.0, 2.0, 3.0], noisy([0.1, 0.2, 0.3, 0.4]), {"bow": flat(0.5)}) is None


def test_a_falling_curve_meets_nothing():
    found = fit_curve(FLOPS, noisy([0.5, *np.linspace(0.7, 0.5, 8)], 0.001), {"bow": flat(0.8)})
    assert found["crossings"]["bow"]["flops"] is None
    assert found["slope_high"] < 0


def test_relations_are_signed_so_that_plus_means_follows():
    rows = [
        {"bits_per_byte": 4 - i, "probe_f1": 0.5 + 0.1 * i, "cv_accuracy": i, "cv_loss": -i, "k90": i, "ntps": 1.0,
         "last_cv_accuracy": -i}
        for i in range(5)
    ]  # fmt: skip
    found = {(one["score"], one["layer"], one["target"]): one["r"] for one in relations(rows)}
    assert found["cv_accuracy", "chosen", "loss"] == pytest.approx(1)
    assert found["cv_loss", "chosen", "f1"] == pytest.approx(1)
    assert found["k90", "chosen", "loss"] == pytest.approx(-1)
    assert found["cv_accuracy", "last", "loss"] == pytest.approx(-1)
    assert ("ntps", "chosen", "loss") not in found  # it does not vary, so it has no order
    assert relations(rows[:3]) == []
    without = [{**row, "bits_per_byte": None, "text_bits_per_byte": row["bits_per_byte"]} for row in rows]
    assert {(one["score"], one["layer"], one["target"]): one["r"] for one in relations(without)} == found
