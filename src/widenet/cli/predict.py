"""`widenet predict`: predictions of a saved model for a table."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pandas import DataFrame

EXAMPLES = """Examples:

  widenet predict houses.widenet new.csv --output prices.csv

  widenet predict flowers.widenet new.parquet > classes.csv

  widenet predict gunpoint.widenet GunPoint_TEST.tsv
"""


def command(
    model: Annotated[Path, typer.Argument(help="Model saved by widenet fit.", show_default=False)],
    data: Annotated[
        Path, typer.Argument(help="Table: CSV, TSV or Parquet. Time series: UCR .tsv, or .ts.", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="CSV, TSV or Parquet; standard output if not given.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Predict: a column of predictions with standard deviations, or with class probabilities."""
    from widenet.cli.console import note, print_json
    from widenet.experiments.feature_predictor import is_feature_model, predict_features
    from widenet.experiments.series_predictor import is_series_model
    from widenet.experiments.tables import read_frame, write_frame
    from widenet.experiments.written import check_writable

    if output is not None:
        check_writable(output)
    if is_feature_model(model):
        task, predictions = predict_features(model, read_frame(data))
    else:
        task, predictions = _predict_series(model, data) if is_series_model(model) else _predict_table(model, data)
    if output is not None:
        write_frame(predictions, output)
        note(f"{len(predictions)} predictions: {output}")
    if json:
        columns = {name: predictions[name].tolist() for name in predictions.columns}
        print_json({"model": str(model), "task": task, "rows": len(predictions), "columns": columns})
    elif output is None:
        predictions.to_csv(sys.stdout, index=False)


def _predict_table(model: Path, data: Path) -> "tuple[str, DataFrame]":
    from widenet.cli.console import note
    from widenet.experiments.predictor import Predictor
    from widenet.experiments.tables import read_frame

    predictor = Predictor.load(model)
    frame = read_frame(data)
    known = {column.name for column in predictor.encoder.columns_} | {predictor.target_name}
    further = [name for name in frame.columns if name not in known]
    if further:
        note(f"not looked at, since the fit had no such column: {', '.join(further[:8])}")
    return predictor.task, predictor.predict(frame)


def _predict_series(model: Path, data: Path) -> "tuple[str, DataFrame]":
    from widenet.cli.console import note
    from widenet.experiments.series_files import read_series
    from widenet.experiments.series_predictor import SeriesPredictor

    predictor = SeriesPredictor.load(model)
    table = read_series(data, quantity=predictor.task == "regression")
    agreement = predictor.agreement(table)
    if agreement:
        note(agreement)
    return predictor.task, predictor.predict(table)
