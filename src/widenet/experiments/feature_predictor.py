"""Models of tables that are too long for a Gram matrix: streamed from the file, and kept with their encoding."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from safetensors import SafetensorError, safe_open

from widenet.errors import InvalidFile
from widenet.estimators import FeatureClassifier, FeatureRegressor, load, open_rows
from widenet.estimators.persistence import FEATURE_ESTIMATORS
from widenet.estimators.table_sources import ParquetRows
from widenet.experiments.tables import Task, split_target
from widenet.kernels import Kernel

LONG_ROWS = 100_000
"""From so many rows on a table is streamed where nothing else is asked: its Gram matrix would take 40 GB."""

LONG_BYTES = 2**28
"""The same for a text file, whose rows are not counted."""

_SIZE = 1024


class FeatureFit(NamedTuple):
    """A model that was streamed.

    Attributes:
        model: The model with its encoder.
        task: "regression" or "classification".
        reason: Why it is this task, in words.
        rows: Rows of the table.
    """

    model: FeatureRegressor | FeatureClassifier
    task: Task
    reason: str
    rows: int


def is_long(path: Path, target: str) -> bool:
    """Whether a table is streamed where nothing else is asked."""
    if path.suffix.lower() not in (".parquet", ".pq"):
        return path.is_file() and path.stat().st_size > LONG_BYTES
    return ParquetRows(path, target).rows > LONG_ROWS


def fit_features(
    path: Path,
    target: str,
    task: Task | None = None,
    kernel: Kernel | str = "auto",
    ridge: float | str = "auto",
    progress: Callable[[int, int | None], None] | None = None,
) -> FeatureFit:
    """Stream a table into a regression on 1,024 features; the task is recognised on a sample where it is not told.

    Args:
        path: Parquet, CSV or TSV file.
        target: Name of the column to predict.
        task: "regression", "classification", or None.
        kernel: A kernel, or "auto".
        ridge: Ridge over the mean squared norm of the features, or "auto".
        progress: Called with the rows done and all rows, None if not known.

    Raises:
        InvalidFile: Where the file is no table.
        InvalidInput: Where the table cannot be learned from.
    """
    source = open_rows(path, target)
    sample = source.sample(10_000, 0)
    table = split_target(sample.X.assign(**{target: sample.y}), target, task, name=path.name)
    learner = FeatureRegressor if table.task == "regression" else FeatureClassifier
    rows = 0

    def step(done: int, total: int | None) -> None:
        nonlocal rows
        rows = done
        if progress is not None:
            progress(done, total)

    model = learner(kernel, size=_SIZE, ridge=ridge).fit_stream(source, progress=step)
    return FeatureFit(model, table.task, table.reason, rows)


def is_feature_model(path: Path) -> bool:
    """Whether a file is that of a regression on features, by its header."""
    try:
        with safe_open(path, framework="np") as file:
            info = json.loads((file.metadata() or {})["model"])
    except (OSError, SafetensorError, ValueError, KeyError):
        return False
    return isinstance(info, dict) and info.get("estimator") in FEATURE_ESTIMATORS


def predict_features(path: Path, frame: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """The task of a saved model, and its predictions for the rows of a table.

    Returns:
        Regression: `prediction`. Classification: `prediction` and one `probability of ...` for each class.

    Raises:
        InvalidFile: Where the file is corrupt, or the model was not fitted to a table.
        InvalidInput: Where columns are missing or cells do not fit their column.
    """
    model = load(path)
    if not isinstance(model, (FeatureClassifier, FeatureRegressor)) or "encoder_" not in vars(model):
        raise InvalidFile(f"{path} must be a model of a table", "one of rows of numbers")
    if isinstance(model, FeatureRegressor):
        return "regression", pd.DataFrame({"prediction": model.predict(frame)}, index=frame.index)
    shares = model.predict_proba(frame)
    columns = {f"probability of {label}": shares[:, place] for place, label in enumerate(model.classes_)}
    labels = np.asarray(model.predict(frame))
    return "classification", pd.DataFrame({"prediction": labels, **columns}, index=frame.index)
