"""`widenet compare`: kernels against peers on one table."""

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from widenet.experiments.comparison import Comparison

EXAMPLES = """Examples:

  widenet compare houses.csv --target price

  widenet compare flowers.parquet --target species --folds 10 --report flowers.html

  widenet compare houses.csv --target price --methods "NTK,Laplace,ridge" --json > scores.json
"""


def command(  # noqa: PLR0917
    data: Annotated[Path, typer.Argument(help="Table: CSV, TSV or Parquet.", show_default=False)],
    target: Annotated[str, typer.Option("--target", "-t", help="Column to predict.", show_default=False)],
    task: Annotated[
        Literal["auto", "regression", "classification"], typer.Option(help="What to learn; auto looks at the target.")
    ] = "auto",
    folds: Annotated[int, typer.Option(min=2, help="Outer folds.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="Times the outer folds are drawn anew.")] = 1,
    methods: Annotated[str | None, typer.Option(help="Some of the methods, with commas; all if not given.")] = None,
    max_rows: Annotated[int, typer.Option(min=20, help="Rows beyond this many are left out at random.")] = 3000,
    report: Annotated[Path, typer.Option(help="Where the HTML report goes.")] = Path("widenet-report.html"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds, draws and forests.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")] = False,
) -> None:
    """Compare all kernels with ridge, RBF SVM, random forest and gradient boosting in one nested cross-validation."""
    from widenet.cli.console import note, note_columns, print_json, progress_bar
    from widenet.estimators.table_encoder import TableEncoder
    from widenet.experiments.comparison import Plan, as_document, compare
    from widenet.experiments.methods import chosen_methods
    from widenet.experiments.report import write_report
    from widenet.experiments.tables import read_frame, sample_rows, split_target
    from widenet.experiments.written import check_writable

    check_writable(report)
    table = split_target(read_frame(data), target, None if task == "auto" else task, name=data.name)
    names = None if methods is None else methods.split(",")
    chosen, plan = chosen_methods(table.task, names), Plan(folds, repeats, seed)
    # Before rows are left out: errors tell the row of the file, and the kinds are those that `fit` finds.
    encoder = TableEncoder().fit(table.features)
    table, dropped = sample_rows(replace(table, features=encoder.typed(table.features)), max_rows, seed)
    plan.check(table)
    note_columns(encoder.columns_)
    if dropped:
        note(f"{dropped} of {dropped + len(table.target)} rows are left out, drawn by the seed (--max-rows {max_rows})")
    with progress_bar("comparing") as step:
        comparison = compare(table, chosen, plan, step)
    with progress_bar("writing the report") as step:
        write_report(comparison, report, command_line(), left_out=dropped)
    if json:
        print_json(as_document(comparison) | {"report": str(report), "rows_left_out": dropped})
    else:
        print_comparison(comparison)
        note(f"report: {report}")


def command_line() -> str:
    """The command that was given, as one could type it again."""
    import shlex
    import sys

    return shlex.join(["widenet", *sys.argv[1:]])


def print_comparison(comparison: "Comparison") -> None:
    """Print the table of methods, best first, and the headline."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from widenet.cli.console import note
    from widenet.experiments.comparison import headline

    metrics = ("R2", "RMSE") if comparison.table.task == "regression" else ("accuracy", "log loss")
    table = Table(title=Text(f"{comparison.table.name}: {comparison.table.task} of {comparison.table.target_name}"))
    table.add_column("method", no_wrap=True)
    for name in (*metrics, "rank", "fit s"):
        table.add_column(name, justify="right", no_wrap=True)
    for result, rank in zip(comparison.results, comparison.ranks, strict=True):
        if result.failure:
            note(f"{result.method.name} has no scores: {result.failure}")
            continue
        means = [comparison.mean(result, metric) for metric in metrics]
        first = f"{means[0]:.3f} ± {comparison.standard_error(result, metrics[0]):.3f}"
        others = ["–" if math.isnan(mean) else f"{mean:.4g}" for mean in means[1:]]
        style = {"widenet": "bold", "baseline": "dim"}.get(result.method.family)
        cells = (first, *others, f"{rank:.1f}", f"{result.fit_seconds.mean():.3g}")
        table.add_row(result.method.name, *cells, style=style)
    console = Console()
    console.print(table)
    console.print(headline(comparison), highlight=False, markup=False)
