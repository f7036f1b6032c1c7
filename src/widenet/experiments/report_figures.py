"""The figures of a comparison's report."""

from html import escape

import numpy as np
from scipy.stats import norm

from widenet.experiments.comparison import Comparison, MethodResult
from widenet.experiments.kernel_view import KernelView
from widenet.experiments.svg import Axis, Chart, Row, Shape, interval_chart

SHAPES: dict[str, Shape] = {"widenet": "circle", "peer": "square", "baseline": "diamond"}


def score_figure(comparison: Comparison) -> str:
    """Scores with standard errors, one row a method, best first, single folds behind."""
    metric, rows = comparison.metric, []
    for result in comparison.results:
        if result.failure:
            continue
        mean, error = comparison.mean(result, metric), comparison.standard_error(result, metric)
        rows.append(
            Row(
                result.method.name,
                result.method.family,
                SHAPES[result.method.family],
                mean,
                error,
                [float(v) for v in result.scores[metric]],
                f"{mean:.3f} ± {error:.3f}",
            )
        )
    # A baseline far below the others would squeeze them; its mark then lies on the left edge.
    real = [
        r for r, row in zip(comparison.results, rows, strict=False) if row.style != "baseline"
    ] or comparison.results
    values = np.concatenate([r.scores[metric] for r in real if not r.failure])
    low, high = float(np.quantile(values, 0.02)), float(values.max())
    margin = 0.08 * (high - low) or 0.05
    return interval_chart(rows, Axis(metric_label(metric), low - margin, high + margin), "Scores with standard errors")


def metric_label(metric: str) -> str:
    """A metric as it stands at an axis."""
    return {"R2": "R² (larger is better)", "accuracy": "accuracy (larger is better)"}.get(metric, metric)


def time_figure(comparison: Comparison) -> str:
    """Score against seconds to tune and fit."""
    sound = [r for r in comparison.results if not r.failure and r.method.family != "baseline"]
    seconds = np.array([r.fit_seconds.mean() for r in sound])
    scores = np.array([comparison.mean(r, comparison.metric) for r in sound])
    wide = np.append(seconds, [seconds.max() * 6])  # room for the labels on the right
    chart = Chart(
        Axis.around("seconds to tune and fit, one fold", wide, log=True),
        Axis.around(comparison.metric.replace("R2", "R²"), scores),
        "Score against time",
    )
    for result, x, y in zip(sound, seconds, scores, strict=True):
        style = result.method.family
        chart.points(np.array([x]), np.array([y]), style, SHAPES[style], 5.5)
    marks = [(float(chart.x.place(x)), float(chart.y.place(y))) for x, y in zip(seconds, scores, strict=True)]
    taken = [(px - 0.015, px + 0.015, py) for px, py in marks]
    for result, (px, py), x, y in zip(sound, marks, seconds, scores, strict=True):
        length = 0.017 * len(result.method.name) + 0.02
        for anchor, low, high in (("start", px + 0.016, px + length), ("end", px - length, px - 0.016)):
            if low > 0 and all(high < a or low > b or abs(py - c) > 0.045 for a, b, c in taken):
                gap = "\u2002" + result.method.name if anchor == "start" else result.method.name + "\u2002"
                chart.text(x, y, gap, f"label {result.method.family}", anchor)
                taken.append((low, high, py))
                break
    return chart.render()


def agreement_figure(comparison: Comparison, result: MethodResult) -> str:
    """Predicted against true values, every row predicted by a fit that did not see it."""
    truth, predicted = comparison.table.target, result.predictions
    both = np.concatenate([truth, predicted])
    target = comparison.table.target_name
    chart = Chart(
        Axis.around(f"true {target}", both), Axis.around(f"predicted {target}", both), "Predicted against true"
    )
    low, high = chart.x.low, chart.x.high
    chart.segment((low, low), (high, high), "ideal")
    keep = np.random.default_rng(0).permutation(len(truth))[:2000]
    chart.points(truth[keep], predicted[keep], f"{result.method.family} faint", size=3)
    return chart.render()


def confusion_figure(comparison: Comparison, result: MethodResult) -> str:
    """True classes (rows) against predicted ones (columns), in rows of the table and shares of the class."""
    classes = comparison.classes
    shown = classes[:15]
    truth, predicted = comparison.table.target, result.predictions
    head = "".join(f"<th scope='col'>{escape(name[:18])}</th>" for name in shown)
    lines = []
    for true_class in shown:
        of_class = truth == true_class
        cells = []
        for predicted_class in shown:
            count = int((of_class & (predicted == predicted_class)).sum())
            share = count / max(int(of_class.sum()), 1)
            kind = "right" if true_class == predicted_class else "wrong"
            deep = " deep" if share > 0.55 else ""
            cells.append(
                f"<td class='{kind}{deep}' style='--share:{share:.3f}'><b>{count}</b><span>{share:.0%}</span></td>"
            )
        lines.append(f"<tr><th scope='row'>{escape(true_class[:18])}</th>{''.join(cells)}</tr>")
    more = f"<p class='small'>The first 15 of {len(classes)} classes.</p>" if len(classes) > 15 else ""
    return (
        "<div class='scroll'><table class='confusion'><thead><tr><td class='corner'>true ↓ predicted →</td>"
        f"{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>{more}"
    )


def reliability_figure(comparison: Comparison, result: MethodResult) -> tuple[str, float]:
    """How often the predicted class is right against its probability, and the mean gap (expected calibration error)."""
    if result.probabilities is None:
        return "", float("nan")
    sure = result.probabilities.max(axis=1)
    classes = np.array(comparison.classes, dtype=object)
    right = classes[result.probabilities.argmax(axis=1)] == comparison.table.target
    edges = np.unique(np.quantile(sure, np.linspace(0, 1, 11)))
    bins = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, max(len(edges) - 2, 0))
    groups = [bins == b for b in np.unique(bins)]
    x, y = np.array([sure[g].mean() for g in groups]), np.array([right[g].mean() for g in groups])
    count = np.array([g.sum() for g in groups])
    error = np.sqrt((y * (1 - y) + 0.25 / count) / (count + 1))
    low = max(0.0, float(min(x.min(), (y - error).min())) - 0.05)
    chart = Chart(
        Axis("probability of the predicted class", low, 1.02), Axis("share that was right", low, 1.02), "Calibration"
    )
    chart.segment((low, low), (1.0, 1.0), "ideal")
    for a, b, e in zip(x, y, error, strict=True):
        chart.segment((a, max(b - e, low)), (a, min(b + e, 1.0)), f"{result.method.family} whisker")
    chart.line(x, y, result.method.family)
    chart.points(x, y, result.method.family, SHAPES[result.method.family], 5)
    return chart.render(), float((count * np.abs(x - y)).sum() / count.sum())


def coverage_figure(comparison: Comparison, result: MethodResult) -> tuple[str, float]:
    """Share of rows inside normal intervals of constant width against the stated share, and the mean gap.

    The width for the rows of a fold comes from the residuals of the other folds.
    """
    residual = comparison.table.target - result.predictions
    z = np.empty(len(residual))
    for index, (_, test) in enumerate(comparison.plan.splits(comparison.table)):
        if index == comparison.plan.folds:
            break
        others = np.setdiff1d(np.arange(len(residual)), test)
        z[test] = residual[test] / np.sqrt(np.mean(residual[others] ** 2))
    stated = np.linspace(0.0, 1.0, 41)
    inside = np.array([(np.abs(z) <= norm.ppf((1 + s) / 2)).mean() for s in stated])
    error = np.sqrt(inside * (1 - inside) / len(z))
    chart = Chart(Axis("stated share of an interval", 0.0, 1.0), Axis("share of rows inside", 0.0, 1.02), "Coverage")
    chart.band(stated, np.clip(inside - 2 * error, 0, 1), np.clip(inside + 2 * error, 0, 1), result.method.family)
    chart.segment((0.0, 0.0), (1.0, 1.0), "ideal")
    chart.line(stated, inside, result.method.family)
    return chart.render(), float(np.abs(inside - stated).mean())


def target_figure(comparison: Comparison) -> str:
    """Histogram of a quantity, or the rows of each class."""
    target = comparison.table.target
    if comparison.table.task == "classification":
        names, counts = np.unique(target, return_counts=True)
        order = np.argsort(-counts)[:12]
        widest = counts.max()
        lines = [
            f"<tr><th scope='row'>{escape(str(names[i])[:24])}</th><td class='meter'>"
            f"<i style='--share:{counts[i] / widest:.3f}'></i></td><td class='number'>{counts[i]}</td></tr>"
            for i in order
        ]
        return f"<table class='bars'><tbody>{''.join(lines)}</tbody></table>"
    counts, edges = np.histogram(target, bins=min(30, max(8, int(np.sqrt(len(target))))))
    chart = Chart(Axis.around(comparison.table.target_name, edges), Axis("rows", 0.0, 1.08 * counts.max()), "Target")
    for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
        gap = 0.06 * (high - low)
        xs = np.array([low + gap, high - gap])
        chart.band(xs, np.zeros(2), np.full(2, float(count)), "solid widenet")
    return chart.render()


def ridge_figure(view: KernelView) -> str:
    """Leave-one-out error over the ridge, with the band of one standard error and the chosen ridge."""
    shown = np.minimum(view.losses, 3.0)
    top = float(min(max(shown.max(), 1.0), 2.0)) * 1.05
    low, high = np.clip(view.losses - view.loss_errors, 0, top), np.clip(view.losses + view.loss_errors, 0, top)
    chart = Chart(
        Axis("ridge over the mean diagonal of K", view.ridges[0], view.ridges[-1], log=True),
        Axis("leave-one-out error / variance", 0.0, top),
        "Leave-one-out error over the ridge",
    )
    chart.band(view.ridges, low, high, "widenet")
    chart.segment((view.ridges[0], 1.0), (view.ridges[-1], 1.0), "ideal")
    chart.line(view.ridges, np.clip(view.losses, 0, top), "widenet")
    if view.ridges[0] <= view.ridge <= view.ridges[-1]:
        chart.segment((view.ridge, 0.0), (view.ridge, top), "chosen")
        chart.text(view.ridge, 0.03 * top, f"\u2002ridge {view.ridge:.2g}", "label")
    return chart.render()


def profile_figure(view: KernelView) -> str:
    """The kernel over the angle between two rows of the typical length, beside other kernels."""
    low = min(0.0, *(float(values.min()) for _, values in view.profiles))
    chart = Chart(
        Axis("angle between two rows, degrees", 0.0, 180.0), Axis("K(angle) / K(0)", low - 0.03, 1.03), "Profile"
    )
    for index, (_, values) in reversed(list(enumerate(view.profiles))):
        chart.line(view.angles, values, "widenet" if index == 0 else f"other other{index}")
    return chart.render()


def gram_figure(view: KernelView) -> str:
    """Eigenvalues of the Gram matrix in units of the mean diagonal, and the ridge."""
    n = len(view.gram_eigenvalues)
    values = n * view.gram_eigenvalues
    known = values > 1e-12 * values[0]
    index, values = np.arange(1, n + 1)[known], values[known]
    reach = np.append(values, [view.ridge])
    chart = Chart(
        Axis("eigenvalue number", 0.9, 1.1 * n, log=True),
        Axis.around("eigenvalue / mean diagonal", reach, log=True),
        "Spectrum of the Gram matrix",
    )
    chart.segment((0.9, view.ridge), (1.1 * n, view.ridge), "chosen")
    chart.text(1.0, 1.4 * view.ridge, "ridge", "label")
    chart.line(index.astype(np.float64), values, "widenet")
    return chart.render()


def sphere_figure(view: KernelView) -> str:
    """Eigenvalues by degree on the sphere in 10 dimensions."""
    known = np.isfinite(view.sphere) & (view.sphere > 0)
    degrees = np.flatnonzero(known).astype(np.float64)
    if len(degrees) < 3:
        return ""
    values = view.sphere[known]
    chart = Chart(
        Axis("degree k of the spherical harmonics", -0.5, float(degrees.max()) + 0.5),
        Axis.around("eigenvalue / the first", values, log=True),
        "Spectrum on the sphere",
    )
    chart.line(degrees, values, "widenet")
    chart.points(degrees, values, "widenet", size=3.5)
    return chart.render()
