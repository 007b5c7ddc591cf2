"""Draw a model's figures for the run that recorded it: the same bytes for the same figures."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from engage_spark.errors import ConfigurationError
from engage_spark.ml.evaluation.deciles import CalibrationBin, Tenth
from engage_spark.ml.evaluation.metrics import BINS
from engage_spark.ml.evaluation.profit_curve import Profit
from engage_spark.ml.fairness.group_metrics import ALL, Fairness

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Format = Literal["svg", "png"]
FEWEST_DRAWN = 5
"""Rows that a cell of the picture of labels against predictions has at least."""
BLUE, ORANGE, GREEN, RED, GREY, DARK = "#2a6fb0", "#d9822b", "#3a9c6d", "#b64a5e", "#9aa3ad", "#1f2933"
_STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": DARK,
    "text.color": DARK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": "#e3e8ee",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": DARK,
    "ytick.color": DARK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "svg.hashsalt": "engage-spark",
    "svg.fonttype": "path",
    "figure.dpi": 100,
    "savefig.dpi": 110,
    "path.simplify": True,
}


@contextmanager
def _styled() -> Iterator[None]:
    """Draw in the style of all pictures.

    Where matplotlib's own list of fonts was made by another installation, it warns once for each font of
    formulas that it does not find; it draws with the one that the style names all the same.
    """
    try:
        import matplotlib as mpl
    except ImportError as e:
        raise ConfigurationError(
            "pictures need matplotlib, which is not installed", hint="pip install 'engage-spark[ml]'"
        ) from e
    fonts = logging.getLogger("matplotlib.font_manager")
    level = fonts.level
    fonts.setLevel(logging.ERROR)
    try:
        with mpl.rc_context(_STYLE):
            yield
    finally:
        fonts.setLevel(level)


def _drawn(draw: Callable[[Figure], None], size: tuple[float, float], form: Format) -> bytes:
    with _styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        out = io.BytesIO()
        # Without a date and a version of the library, the bytes depend on what is shown alone.
        figure.savefig(
            out,
            format=form,
            metadata={"Date": None, "Creator": None} if form == "svg" else {"Software": None},
        )
        return out.getvalue()


def _thousands(axes: Axes, *which: str) -> None:
    """1,500 and not 1500; small numbers are left as they are."""
    from matplotlib.ticker import StrMethodFormatter

    for name in which:
        if max(map(abs, getattr(axes, f"get_{name}lim")())) >= 1000:
            getattr(axes, f"{name}axis").set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _percent(axes: Axes, *which: str) -> None:
    from matplotlib.ticker import PercentFormatter

    for name in which:
        getattr(axes, f"{name}axis").set_major_formatter(PercentFormatter(1.0, decimals=0))


def calibration_curve(
    bins: Sequence[CalibrationBin],
    *,
    title: str,
    before: Sequence[CalibrationBin] = (),
    spread: Sequence[CalibrationBin] = (),
    form: Format = "svg",
) -> bytes:
    """Draw the share of ones against the mean score of each bin, with its 95% bounds.

    `before`: bins of the scores before calibration. `spread`: bins of equal width, for a second panel that
    shows how many rows have which score.
    """

    def draw(figure: Figure) -> None:
        panels = figure.subplots(
            2 if spread else 1, 1, height_ratios=[4, 1] if spread else [1], sharex=True, squeeze=False
        )[:, 0]
        curve = panels[0]
        curve.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="as calibrated as can be")
        if before:
            curve.plot(
                [b.mean_score for b in before],
                [b.share for b in before],
                color=ORANGE,
                marker="o",
                markersize=3.5,
                linewidth=1,
                label="before calibration",
            )
        score, share = [b.mean_score for b in bins], [b.share for b in bins]
        reach = [[b.share - b.low for b in bins], [b.high - b.share for b in bins]]
        curve.errorbar(
            score,
            share,
            yerr=reach,
            color=BLUE,
            marker="o",
            markersize=4.5,
            linewidth=1.4,
            elinewidth=1,
            label="calibrated, with 95% bounds" if before else "share, with 95% bounds",
        )
        curve.set(title=title, ylabel="share of label 1", xlim=(0, 1), ylim=(0, 1))
        curve.legend(loc="upper left")
        if spread:
            wide = 1 / BINS
            panels[1].bar(
                [(min(int(b.mean_score * BINS), BINS - 1) + 0.5) * wide for b in spread],
                [b.n for b in spread],
                0.9 * wide,
                color=BLUE,
            )
            panels[1].set(ylabel="rows")
            _thousands(panels[1], "y")
        panels[-1].set(xlabel="predicted probability")
        _percent(curve, "y")
        _percent(panels[-1], "x")

    return _drawn(draw, (6.4, 6.0 if spread else 5.0), form)


def profit_curve(profits: Sequence[Profit], *, title: str, unit: str = "", form: Format = "svg") -> bytes:
    """Draw the profit per 1,000 rows by threshold, with its bounds.

    A dot marks the threshold that follows from cost, success and value.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.axhline(0, color=GREY, linewidth=1)
        lowest = 0.0
        for profit, colour in zip(profits, (BLUE, ORANGE, GREEN, RED) * len(profits), strict=False):
            x = [p.threshold for p in profit.curve]
            axes.fill_between(
                x,
                [p.low for p in profit.curve],
                [p.high for p in profit.curve],
                color=colour,
                alpha=0.18,
                linewidth=0,
            )
            name = (
                f"worth {profit.value:g}: contact from {profit.chosen:.3g} on"
                if profit.chosen <= 1
                else f"worth {profit.value:g}: nobody"
            )
            axes.plot(x, [p.profit for p in profit.curve], color=colour, linewidth=1.6, label=name)
            if profit.chosen <= 1:
                axes.plot(
                    [profit.chosen],
                    [profit.at.profit],
                    color=colour,
                    marker="o",
                    markersize=7,
                    markeredgecolor="white",
                )
            lowest = min(lowest, *(p.low for p in profit.curve))
        top = max(max(p.high for p in profit.curve) for profit in profits)
        first = profits[0]
        axes.set(
            title=f"{title}\na contact costs {first.cost:g} and succeeds with {first.success:.0%} (assumed)",
            xlim=(0, 1),
            xlabel="contact rows whose probability is at least",
            ylim=(1.1 * max(lowest, -max(top, 1.0)), 1.12 * max(top, 1.0)),
            ylabel=f"profit per 1,000 rows{f' ({unit})' if unit else ''}",
        )
        axes.legend(loc="upper right")
        _thousands(axes, "y")

    return _drawn(draw, (7.2, 4.6), form)


def lift_chart(
    tenths: Sequence[Tenth], *, title: str, what: str, unit: str = "", form: Format = "svg"
) -> bytes:
    """Draw mean label and mean score of each tenth by score, and the share of all labels in the first tenths.

    `what`: the label's name; without a unit, labels of at most 1 are shown as shares.
    """

    def draw(figure: Figure) -> None:
        means, gains = figure.subplots(1, 2, width_ratios=[3, 2])
        numbers = [t.number for t in tenths]
        means.bar(numbers, [t.mean_label for t in tenths], color=BLUE, width=0.75, label="actual")
        means.plot(
            numbers,
            [t.mean_score for t in tenths],
            color=ORANGE,
            marker="D",
            markersize=5,
            linestyle="none",
            label="predicted",
        )
        means.set(
            title=title,
            xlabel="tenth by score, highest first",
            ylabel=f"mean {what}{f' ({unit})' if unit else ''}",
            xticks=numbers,
        )
        if unit or max(t.mean_label for t in tenths) > 1:
            _thousands(means, "y")
        else:
            _percent(means, "y")
        means.grid(axis="x", visible=False)
        means.legend(loc="upper right")
        shares = [i / len(tenths) for i in range(len(tenths) + 1)]
        gains.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="without a model")
        if tenths[-1].cumulative_share is not None:
            cumulative_share = [0.0, *(t.cumulative_share or 0.0 for t in tenths)]
            gains.plot(shares, cumulative_share, color=BLUE, marker="o", markersize=4, label="by score")
        gains.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="share of rows", ylabel=f"share of the sum of {what}")
        gains.legend(loc="lower right")
        _percent(gains, "x", "y")

    return _drawn(draw, (9.2, 4.2), form)


def selection_curve(
    counts: Sequence[int],
    by_fold: Sequence[Sequence[float]],
    *,
    n_features: int,
    metric: str,
    title: str,
    form: Format = "svg",
) -> bytes:
    """Draw a metric by the number of features that were left, per fold and in the mean.

    `by_fold`: one value per count for each fold.
    """

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        values = np.asarray(by_fold, dtype=np.float64)
        for i, fold in enumerate(values):
            axes.plot(counts, fold, color=GREY, linewidth=0.9, alpha=0.8, label="folds" if i == 0 else None)
        mean = values.mean(axis=0)
        axes.plot(
            counts, mean, color=BLUE, linewidth=1.8, marker="o", markersize=3.5, label="mean of the folds"
        )
        if n_features in counts:
            axes.axvline(n_features, color=ORANGE, linewidth=1.2, linestyle="--")
            at = float(mean[list(counts).index(n_features)])
            axes.text(
                n_features,
                0.04,
                f"  {n_features} kept: {at:.4g}",
                transform=axes.get_xaxis_transform(),
                color=ORANGE,
            )
        axes.set(title=title, xlabel="features left", ylabel=metric)
        axes.legend(loc="best")

    return _drawn(draw, (7.2, 4.2), form)


def fairness_chart(
    fairness: Fairness,
    *,
    attribute: str,
    metrics: Sequence[str],
    title: str,
    entity: str = "rows",
    form: Format = "svg",
) -> bytes:
    """Draw each compared group's figure with its 95% bounds, a panel per metric.

    The line is that of all rows. Groups too small to compare are counted in `entity`.
    """
    by_metric = [fairness.of(attribute, m) for m in metrics]
    groups = [g for g, f in by_metric[0].items() if f.compared] if by_metric else []
    if not groups:
        raise ConfigurationError(
            f"no group of {attribute!r} can be shown",
            hint="name an attribute and metrics of the fairness table, with groups large enough",
        )
    small = len(by_metric[0]) - len(groups)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, metric, own in zip(panels, metrics, by_metric, strict=True):
            for i, group in enumerate(groups):
                f = own.get(group)
                if f is None or f.value is None:
                    continue
                if f.low is not None and f.high is not None:
                    axes.plot([f.low, f.high], [i, i], color=BLUE, linewidth=2)
                axes.plot([f.value], [i], marker="o", markersize=6, color=BLUE)
            all_rows = fairness.of(ALL, metric).get(ALL)
            if all_rows is not None and all_rows.value is not None:
                axes.axvline(all_rows.value, color=ORANGE, linewidth=1.2, linestyle="--")
            axes.set_title(metric.replace("_", " "))
            axes.margins(x=0.12)
            axes.locator_params(axis="x", nbins=4)
            axes.grid(axis="y", visible=False)
        sizes = by_metric[0]
        panels[0].set_yticks(range(len(groups)), [f"{g}  ({sizes[g].n:,})" for g in groups])
        panels[0].set_ylim(len(groups) - 0.4, -0.6)
        few = f"{small} groups are" if small > 1 else "1 group is"
        note = f"\n{few} of fewer than {fairness.smallest:,} {entity}, and not shown" if small else ""
        figure.suptitle(title + note, x=0.01, ha="left", fontsize=11)

    return _drawn(draw, (2.0 + 2.3 * len(metrics), 1.4 + 0.32 * len(groups)), form)


def predicted_actual(
    labels: Any,
    predictions: Any,
    *,
    title: str,
    unit: str = "",
    tenths: Sequence[Tenth] = (),
    form: Format = "png",
) -> bytes:
    """Draw labels against predictions, the darker the more (logarithmic), and each tenth's mean label.

    A cell of fewer than FEWEST_DRAWN rows is left blank, since it would show single customers; the fewer rows
    there are, the larger are the cells.
    """
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(predictions, dtype=np.float64)

    def draw(figure: Figure) -> None:
        from matplotlib.colors import LogNorm

        axes = figure.subplots()
        low, high = float(min(y.min(), p.min())), float(max(np.quantile(y, 0.999), np.quantile(p, 0.999)))
        cells = min(60, max(8, int(len(y) ** 0.5 / 4)))
        edges = np.linspace(low, high if high > low else low + 1, cells + 1)
        counts, _, _ = np.histogram2d(p, y, bins=[edges, edges])
        masked = np.ma.masked_less(counts.T, FEWEST_DRAWN)
        mesh = axes.pcolormesh(
            edges,
            edges,
            masked,
            cmap="Blues",
            norm=LogNorm(vmin=FEWEST_DRAWN / 2, vmax=max(2.0 * FEWEST_DRAWN, float(counts.max()))),
            rasterized=True,
        )
        axes.plot(
            edges[[0, -1]], edges[[0, -1]], color=GREY, linewidth=1, linestyle="--", label="as predicted"
        )
        if tenths:
            axes.plot(
                [t.mean_score for t in tenths],
                [t.mean_label for t in tenths],
                color=ORANGE,
                marker="D",
                markersize=5,
                linewidth=1,
                label="mean of each tenth",
            )
        name = f" ({unit})" if unit else ""
        hidden = len(y) - int(counts[counts >= FEWEST_DRAWN].sum())
        note = (
            f"\n{hidden:,} of {len(y):,} rows are outside, or among fewer than {FEWEST_DRAWN}"
            if hidden
            else ""
        )
        axes.set(
            title=title + note,
            xlabel=f"predicted{name}",
            ylabel=f"actual{name}",
            xlim=edges[[0, -1]],
            ylim=edges[[0, -1]],
        )
        axes.legend(loc="upper left")
        figure.colorbar(mesh, ax=axes, label="rows", pad=0.02, format="{x:,.0f}")
        _thousands(axes, "x", "y")

    return _drawn(draw, (6.8, 5.6), form)
