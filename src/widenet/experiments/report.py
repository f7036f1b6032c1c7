"""The report of a comparison: one HTML file that needs nothing else."""

import platform
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from widenet.estimators.table_encoder import TableEncoder
from widenet.experiments import report_figures as figures
from widenet.experiments.comparison import METRICS, Comparison, MethodResult, headline
from widenet.experiments.kernel_view import KernelView, kernel_in_words, kernel_shares, view_kernel
from widenet.experiments.written import written_aside

PACKAGES = ("widenet", "torch", "numpy", "scipy", "scikit-learn", "pandas", "skrub")


def write_report(comparison: Comparison, path: Path, command: str, left_out: int = 0) -> None:
    """Write the report of a comparison as one self-contained HTML file.

    Args:
        comparison: What was found.
        path: Where to write; written aside and renamed.
        command: The command that made it, for the reader to run again.
        left_out: Rows of the file that were not used.

    Raises:
        InvalidFile: If the file cannot be written.
    """
    html = render_report(comparison, command, left_out)
    with written_aside(path) as aside:
        aside.write_text(html, encoding="utf-8")


def render_report(comparison: Comparison, command: str, left_out: int = 0) -> str:
    """The report as HTML text."""
    environment = Environment(
        loader=PackageLoader("widenet.experiments"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    view = view_kernel(comparison)
    encoder = TableEncoder().fit(comparison.table.features)
    best = _shown(comparison)
    calibrate = figures.coverage_figure if comparison.table.task == "regression" else figures.reliability_figure
    calibrated = (
        best if best.probabilities is not None or comparison.table.task == "regression" else _probable(comparison)
    )
    calibration, gap = calibrate(comparison, calibrated) if calibrated is not None else ("", float("nan"))
    agree = figures.agreement_figure if comparison.table.task == "regression" else figures.confusion_figure
    seconds = sum(float(np.sum(r.fit_seconds + r.predict_seconds)) for r in comparison.results if not r.failure)
    return environment.get_template("report.html").render(
        table=comparison.table,
        plan=comparison.plan,
        metric=comparison.metric.replace("R2", "R²"),
        metrics=[metric.replace("R2", "R²") for metric in METRICS[comparison.table.task]],
        headline=headline(comparison),
        verdict=_verdict(comparison),
        best=comparison.best,
        best_score=_score(comparison, comparison.best, comparison.metric),
        rows=_rows(comparison),
        failures=[r for r in comparison.results if r.failure],
        columns=encoder.columns_,
        encoded=len(encoder.get_feature_names_out()),
        scores=figures.score_figure(comparison),
        times=figures.time_figure(comparison),
        target=figures.target_figure(comparison),
        shown=best,
        agreement=agree(comparison, best),
        calibration=calibration,
        calibrated=calibrated,
        gap=gap,
        view=view,
        terms=[] if view is None else [(f, kernel_in_words(k)) for f, k in kernel_shares(view.kernel)],
        kernel_figures=_kernel_figures(view),
        seconds=seconds,
        command=command,
        left_out=left_out,
        versions=[("Python", platform.python_version()), *((name, version(name)) for name in PACKAGES)],
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _shown(comparison: Comparison) -> MethodResult:
    """The method whose predictions are drawn: the best one that is not a baseline."""
    return next((r for r in comparison.results if r.method.family != "baseline" and not r.failure), comparison.best)


def _probable(comparison: Comparison) -> MethodResult | None:
    """The best method that gives probabilities."""
    return next((r for r in comparison.results if r.probabilities is not None and not r.failure), None)


def _score(comparison: Comparison, result: MethodResult, metric: str) -> tuple[str, str]:
    mean, error = comparison.mean(result, metric), comparison.standard_error(result, metric)
    if not np.isfinite(mean):
        return "–", ""
    if metric in ("R2", "accuracy", "balanced accuracy", "log loss"):
        return f"{mean:.3f}", f"{error:.3f}"
    return f"{mean:.4g}", f"{error:.2g}"


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    rows = []
    for result, rank in zip(comparison.results, comparison.ranks, strict=True):
        if result.failure:
            continue
        lead, error = comparison.lead(comparison.best, result)
        chosen = Counter(choice for choice in result.choices if choice).most_common(1)
        rows.append(
            {
                "name": result.method.name,
                "family": result.method.family,
                "tuning": result.method.tuning,
                "choice": chosen[0][0] if chosen else "",
                "scores": [_score(comparison, result, metric) for metric in METRICS[comparison.table.task]],
                "behind": "" if result is comparison.best else f"{lead:.3f} ± {error:.3f}",
                "rank": f"{rank:.1f}",
                "fit": f"{result.fit_seconds.mean():.3g}",
                "predict": f"{result.predict_seconds.mean():.2g}",
            }
        )
    return rows


def _verdict(comparison: Comparison) -> str:
    """How the best kernel method and the best peer stand to each other, in one honest sentence."""
    sound = [r for r in comparison.results if not r.failure]
    kernels = [r for r in sound if r.method.family == "widenet"]
    peers = [r for r in sound if r.method.family == "peer"]
    if not kernels or not peers:
        return ""
    lead, error = comparison.lead(kernels[0], peers[0])
    names = f"{kernels[0].method.name} and the best peer, {peers[0].method.name},"
    if abs(lead) <= 2 * error:
        return f"{names} differ by {abs(lead):.3f} ± {error:.3f}: less than two standard errors, so no clear winner."
    side = "ahead of" if lead > 0 else "behind"
    return (
        f"{kernels[0].method.name} is {side} the best peer, {peers[0].method.name}, by {abs(lead):.3f} ± {error:.3f}."
    )


def _kernel_figures(view: KernelView | None) -> dict[str, str]:
    if view is None:
        return {}
    return {
        "ridge": figures.ridge_figure(view),
        "profile": figures.profile_figure(view),
        "gram": figures.gram_figure(view),
        "sphere": figures.sphere_figure(view),
    }
