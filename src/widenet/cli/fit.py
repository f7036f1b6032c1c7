"""`widenet fit`: a model from a table, or from a file of time series."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Task = Literal["auto", "regression", "classification"]
Way = Literal["auto", "exact", "features"]

_SHORT_BYTES = 2**19  # no table of 100,000 rows is in a smaller file

EXAMPLES = """Examples:

  widenet fit houses.csv --target price --model houses.widenet

  widenet fit flowers.parquet --target species --model flowers.widenet --kernel "NTK(depth=3)"

  widenet fit flights.parquet --target delay --model flights.widenet --solver features

  widenet fit GunPoint_TRAIN.tsv --model gunpoint.widenet
"""


def command(  # noqa: PLR0917
    data: Annotated[
        Path, typer.Argument(help="Table: CSV, TSV or Parquet. Time series: UCR .tsv, or .ts.", show_default=False)
    ],
    model: Annotated[Path, typer.Option("--model", "-m", help="Where the model goes.", show_default=False)],
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Column to predict; time series need none.", show_default=False)
    ] = None,
    kernel: Annotated[str, typer.Option(help="auto, or a kernel such as 'NTK(depth=3)' or laplace.")] = "auto",
    ridge: Annotated[float | None, typer.Option(help="Ridge over the kernel's mean diagonal.")] = None,
    task: Annotated[Task, typer.Option(help="What to learn; auto looks at the target.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    solver: Annotated[
        Way, typer.Option(help="exact, or features of the kernel in one pass; auto takes these from 100,000 rows on.")
    ] = "auto",
) -> None:
    """Fit a kernel model to a table and save it with the table's encoding; the file holds no code.

    A .ts file, and a .tsv file without --target, hold labelled time series: a recurrent kernel is fitted to them.
    """
    if data.suffix.lower() == ".ts" or (data.suffix.lower() == ".tsv" and target is None):
        if solver == "features":
            raise typer.BadParameter("time series have no features; leave out --solver")
        _fit_series(data, model, (target, kernel), ridge, (task, json))
    elif target is not None and solver != "exact" and (solver == "features" or _is_long(data, target)):
        _fit_features(data, model, (target, kernel), ridge, (task, json))
    else:
        _fit_table(data, model, (target, kernel), ridge, (task, json))


def _is_long(data: Path, target: str) -> bool:
    if not data.is_file() or data.stat().st_size < _SHORT_BYTES:
        return False
    from widenet.experiments.feature_predictor import is_long

    return is_long(data, target)


def _fit_features(data: Path, model: Path, asked: tuple[str, str], ridge: float | None, how: tuple[Task, bool]) -> None:
    from widenet.cli.console import note, note_columns, print_json, progress_bar
    from widenet.experiments.feature_predictor import fit_features
    from widenet.experiments.kernel_text import read_kernel
    from widenet.experiments.written import check_writable

    (target, kernel), (task, json) = asked, how
    check_writable(model)
    chosen = "auto" if kernel.strip().lower() == "auto" else read_kernel(kernel)
    with progress_bar("rows") as step:
        fitted = fit_features(
            data,
            target,
            None if task == "auto" else task,
            chosen,
            "auto" if ridge is None else ridge,
            lambda done, total: step("streamed", done, total or done),
        )
    fitted.model.save(model)
    columns = fitted.model.encoder_.columns_
    note_columns(columns)
    used = fitted.model.selection_[0].kernel if fitted.model.selection_ else chosen
    if json:
        print_json(
            {
                "model": str(model),
                "task": fitted.task,
                "task_reason": fitted.reason,
                "rows": fitted.rows,
                "columns": [{"name": c.name, "kind": c.kind, "missing": c.missing} for c in columns],
                "kernel": repr(used),
                "features": fitted.model.size,
                "ridge": float(fitted.model.ridge_),
            }
        )
    else:
        typer.echo(f"{fitted.task} of {target} ({fitted.reason}) on {fitted.rows} rows, streamed")
        typer.echo(f"kernel {used!r}, {fitted.model.size} features, ridge {float(fitted.model.ridge_):.3g}")
        note(f"model: {model}")


def _fit_table(
    data: Path, model: Path, asked: tuple[str | None, str], ridge: float | None, how: tuple[Task, bool]
) -> None:
    from widenet.cli.console import note, note_columns, print_json
    from widenet.experiments.kernel_text import read_kernel
    from widenet.experiments.predictor import Predictor
    from widenet.experiments.tables import read_frame, split_target
    from widenet.experiments.written import check_writable

    (target, kernel), (task, json) = asked, how
    if target is None:
        raise typer.BadParameter("Missing option '--target' / '-t': the column of the table to predict")
    check_writable(model)
    chosen = "auto" if kernel.strip().lower() == "auto" else read_kernel(kernel)
    table = split_target(read_frame(data), target, None if task == "auto" else task, name=data.name)
    predictor = Predictor.fit(table, chosen, "auto" if ridge is None else ridge)
    predictor.save(model)
    note_columns(predictor.encoder.columns_)
    fitted = predictor.model
    if json:
        print_json(
            {
                "model": str(model),
                "task": table.task,
                "task_reason": table.reason,
                "rows": len(table.target),
                "columns": [{"name": c.name, "kind": c.kind, "missing": c.missing} for c in predictor.encoder.columns_],
                "kernel": repr(fitted.kernel_),
                "ridge": float(fitted.ridge_),
            }
        )
    else:
        typer.echo(f"{table.task} of {target} ({table.reason}) on {len(table.target)} rows")
        typer.echo(f"kernel {fitted.kernel_!r}, ridge {float(fitted.ridge_):.3g}")
        note(f"model: {model}")


def _fit_series(
    data: Path, model: Path, asked: tuple[str | None, str], ridge: float | None, how: tuple[Task, bool]
) -> None:
    from widenet.cli.console import note, print_json
    from widenet.errors import InvalidFile
    from widenet.experiments.series_files import read_series
    from widenet.experiments.series_predictor import SeriesPredictor
    from widenet.experiments.written import check_writable

    (target, kernel), (task, json) = asked, how
    if target is not None:
        raise typer.BadParameter("time series have their labels in the file; leave out --target")
    if kernel.strip().lower() != "auto":
        raise typer.BadParameter("kernels of time series are chosen from a grid; leave out --kernel")
    check_writable(model)
    try:
        table = read_series(data, quantity=task == "regression")
    except InvalidFile as error:
        if data.suffix.lower() == ".ts" or error.cure:
            raise
        raise InvalidFile(error.asked, error.got, "A table with a header needs --target") from error
    if task == "classification" and table.kind == "number":
        raise typer.BadParameter(f"{data.name} has @targetLabel, a number to predict; leave out --task")
    predictor = SeriesPredictor.fit(table, "auto" if ridge is None else ridge)
    predictor.save(model)
    fitted, lengths = predictor.model, [len(series) for series in table.series]
    document = {
        "model": str(model),
        "task": predictor.task,
        "series": len(lengths),
        "channels": table.series[0].shape[1],
        "lengths": [min(lengths), max(lengths)],
        "kernel": repr(fitted.kernel_),
        "ridge": float(fitted.ridge_),
        "leave_one_out": float(fitted.selection_[0].score),
    }
    if json:
        print_json(document)
        return
    steps = " to ".join(str(length) for length in sorted({min(lengths), max(lengths)}))
    channels = "1 channel" if document["channels"] == 1 else f"{document['channels']} channels"
    typer.echo(f"{predictor.task} of {len(lengths)} series of {steps} steps, {channels}")
    typer.echo(f"kernel {fitted.kernel_!r}, ridge {float(fitted.ridge_):.3g}")
    note(f"model: {model}")
