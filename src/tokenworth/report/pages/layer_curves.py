"""The best layer in detail: what the k best next-token directions keep, and how fast the variance falls off."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import tokenworth.report.pages.theme as theme
from tokenworth.report.displayed_values import number, numbers, sentence
from tokenworth.report.pages.panel_words import panel_of
from tokenworth.report.pages.theme import Key, Panel, Values
from tokenworth.report.result_values import row_at

if TYPE_CHECKING:
    from tokenworth.assessment import Assessment

_HEIGHT = 280
_ROUNDING = 1e-12  # of the whole: a smaller share is what rounding leaves of nothing
_NOT_COMPUTED = "This curve was not computed at the best layer."
_K_NAME = "k, number of next-token directions (log scale)"


def best_layer_panels(result: Assessment) -> list[Panel]:
    """Retained, NTPS and autoregressive R2 against k, and the spectra; a panel without data says so."""
    return [_retained(result), _ntps(result), _ar_r2(result), _spectrum(result)]


def _retained(result: Assessment) -> Panel:
    k, kept = _curve(result, "retained")
    panel = panel_of("curve-retained")
    if not _known(kept):
        return panel.without(_flagged(result, "retained") or _NOT_COMPUTED)
    chance, raw = _curve(result, "chance")[1], _curve(result, "retained_raw")[1]
    traces = _interval(result, "retained", k)
    traces += [theme.line(k, raw, colour=theme.GREY, width=1, hoverinfo="skip")] if _known(raw) else []
    traces += [*_dashed(k, chance), _main(k, kept, "kept")]
    k90 = number(row_at(result, result.best_layer).get("k90"))
    traces += _k90_mark(k90) if k90 else []
    keys = [Key("line", "kept, adjusted"), Key("band", "95 % interval"), Key("dash", "random order, k/d", theme.GREY)]
    keys += [Key("thin", "unadjusted", theme.GREY)] if _known(raw) else []
    keys += [Key("dot", f"k90 = {k90:,.0f}")] if k90 else []
    seen = [value for value in [*kept, *raw, 0.0, 1.0] if value is not None]  # the interval may leave the frame
    limits = [max(min(seen), -0.3) - 0.05, min(max(seen), 1.5) + 0.06]
    return panel.with_figure(_figure(k, traces, "share kept", range=limits), keys, _HEIGHT)


def _k90_mark(k90: float) -> list[theme.Trace]:
    words = "k90 = %{x}<br>nine tenths of the signal kept<extra></extra>"
    ring = {"symbol": "circle", "line": {"color": theme.ACCENT, "width": 6}}
    drop = theme.line([k90, k90], [0, 0.9], width=1, line={"dash": "dot"}, hoverinfo="skip")
    return [drop, theme.dots([k90], [0.9], size=6, marker=ring, hovertemplate=words)]


def _ntps(result: Assessment) -> Panel:
    k, overlap = _curve(result, "ntps")
    panel = panel_of("curve-ntps")
    if not _known(overlap):
        return panel.without(_flagged(result, "ntps") or _NOT_COMPUTED)
    band, dashed = _interval(result, "ntps", k), _dashed(k, _curve(result, "ntps_chance")[1])
    keys = [Key("line", "NTPS(k)")]
    keys += [Key("band", "95 % interval")] if band else []
    keys += [Key("dash", "shuffled labels", theme.GREY)] if dashed else []
    figure = _figure(k, [*band, *dashed, _main(k, overlap, "overlap")], "overlap", range=[-0.04, 1.06])
    return panel.with_figure(figure, keys, _HEIGHT, note=_flagged(result, "ntps"))


def _ar_r2(result: Assessment) -> Panel:
    k, explained = _curve(result, "ar_r2")
    panel = panel_of("curve-ar_r2")
    flagged = _flagged(result, "ar_r2")
    if not _known(explained):
        return panel.without(flagged or _NOT_COMPUTED)
    figure = _figure(k, [_main(k, explained, "predicted")], "autoregressive R2", rangemode="tozero", nticks=6)
    return panel.with_figure(figure, (Key("line", "R2(k)"),), _HEIGHT, note=flagged)


def _spectrum(result: Assessment) -> Panel:
    panel = panel_of("spectrum")
    looks = {"context": ("next-token pencil", theme.ACCENT), "pooled": ("pooled covariance", theme.GREY)}
    spectra = {side: _positive((result.spectrum or {}).get(side)) for side in looks}
    if not any(spectra.values()):
        return panel.without("No eigenvalues were kept for this layer.")
    words = "direction %{x}<br>share %{y:.2e}<extra></extra>"
    traces = [
        theme.line(list(range(1, len(values) + 1)), values, colour=looks[side][1], hovertemplate=words)
        for side, values in spectra.items()
        if values
    ]
    x = theme.log2_axis(max(map(len, spectra.values())), name="direction, by rank (log scale)")
    shown = [share for values in spectra.values() for share in values if share and share > _ROUNDING] or [1.0]
    y = theme.axis(
        name="share (log scale)", type="log", exponentformat="power", nticks=6,
        range=[math.log10(min(shown)) - 0.5, math.log10(max(shown)) + 0.5],
    )  # fmt: skip
    keys = [Key("line", *looks[side]) for side, values in spectra.items() if values]
    return panel.with_figure(theme.figure(traces, x, y), keys, _HEIGHT)


def _curve(result: Assessment, key: str) -> tuple[list[Any], Values]:
    """A curve on its own k; lists that stop early are taken as far as they go."""
    curves = result.curves or {}
    k, values = numbers(curves.get("k")), numbers(curves.get(key))
    size = min(len(k), len(values))
    return k[:size], values[:size]


def _interval(result: Assessment, key: str, k: list[Any]) -> list[theme.Trace]:
    return theme.band(k, _curve(result, f"{key}_low")[1], _curve(result, f"{key}_high")[1])


def _main(k: list[Any], y: Values, name: str) -> theme.Trace:
    words = f"k = %{{x}}<br>{name} %{{y:.3f}}<extra></extra>"
    mode = "lines+markers" if len(k) <= 40 else "lines"
    return theme.line(k, y, width=2.4, mode=mode, marker={"size": 5}, hovertemplate=words)


def _dashed(k: list[Any], y: Values) -> list[theme.Trace]:
    """The chance level, where it is known."""
    words = "k = %{x}<br>by chance %{y:.3f}<extra></extra>"
    dash = theme.line(k, y, colour=theme.GREY, width=1.5, line={"dash": "dash"}, hovertemplate=words)
    return [dash] if _known(y) else []


def _figure(k: list[Any], traces: list[theme.Trace], name: str, **y: Any) -> theme.Figure:
    return theme.figure(traces, theme.log2_axis(max(k, default=1), name=_K_NAME), theme.axis(name=name, **y))


def _known(values: Values) -> bool:
    return any(value is not None for value in values)


def _flagged(result: Assessment, score: str) -> str:
    here = (flag for flag in result.flags if flag.get("layer") in (None, result.best_layer))
    reasons = [sentence(flag["reason"]) for flag in here if str(flag["score"]).casefold().startswith(score)]
    return " ".join(dict.fromkeys(reasons))


def _positive(values: Any) -> Values:
    """Eigenvalues a log axis can show; what rounding left at or below zero is dropped."""
    return [value for value in numbers(values) if value is not None and value > 0]
