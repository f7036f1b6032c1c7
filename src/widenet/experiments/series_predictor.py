"""A model of time series read from a UCR or `.ts` file: fitted, kept in one file, and asked for predictions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators import RecurrentKernelClassifier, RecurrentKernelRegressor, load
from widenet.experiments.series_files import SeriesTable
from widenet.experiments.tables import Task
from widenet.experiments.written import check_writable

SeriesModel = RecurrentKernelClassifier | RecurrentKernelRegressor


@dataclass(frozen=True, eq=False)
class SeriesPredictor:
    """A fitted model of time series.

    Attributes:
        model: The model; its file is that of `widenet.load`.
    """

    model: SeriesModel

    @classmethod
    def fit(cls, table: SeriesTable, ridge: float | str = "auto") -> Self:
        """Fit the model that the labels ask for, its kernel chosen from `automatic_grids`.

        Each channel is brought to mean 0 and variance 1 over all series, so that their levels and sizes count. Where
        all series have one length, kernels that compare them step by step are tried too.

        Raises:
            InvalidInput: Where there are no labels, one class, or series that cannot be learned from.
        """
        if table.labels is None:
            raise InvalidInput(f"{table.name} must have a label for each series to learn from", "none")
        learner = RecurrentKernelRegressor if table.kind == "number" else RecurrentKernelClassifier
        several = len({len(values) for values in table.series}) > 1
        series = table.series if several else np.stack(table.series)
        return cls(learner(ridge=ridge, layout="channels_last").fit(series, table.labels))

    @property
    def task(self) -> Task:
        """What it predicts: "regression" or "classification"."""
        return "regression" if isinstance(self.model, RecurrentKernelRegressor) else "classification"

    def predict(self, table: SeriesTable) -> pd.DataFrame:
        """One row a series: `prediction`, and for classes one `probability of ...` each.

        Raises:
            InvalidInput: Where the series have another number of channels than those of the fit, or another length
                and the kernel compares them step by step.
        """
        columns = {"prediction": self.model.predict(table.series)}
        if isinstance(self.model, RecurrentKernelClassifier):
            probabilities = self.model.predict_proba(table.series)
            columns |= {f"probability of {name}": probabilities[:, i] for i, name in enumerate(self.model.classes_)}
        return pd.DataFrame(columns)

    def agreement(self, table: SeriesTable) -> str:
        """How the predictions agree with the labels of a file, in words; "" where it has none."""
        if table.labels is None:
            return ""
        measure = "R2" if self.task == "regression" else "accuracy"
        try:
            score = self.model.score(table.series, table.labels)
        except (TypeError, ValueError):
            return "the labels of the file are of another kind than those of the fit"
        return f"{measure} {score:.4f} on the labels of {len(table.series)} series"

    def save(self, path: Path) -> None:
        """Write the model to one file.

        Raises:
            InvalidFile: If the file cannot be written.
        """
        check_writable(path)
        self.model.save(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; nothing in the file is run.

        Raises:
            InvalidFile: If the file is missing, corrupt, or not such a model.
        """
        model = load(path)
        if not isinstance(model, (RecurrentKernelClassifier, RecurrentKernelRegressor)):
            raise InvalidFile(f"{path} must be a model of time series", type(model).__name__)
        return cls(model)


def is_series_model(path: Path) -> bool:
    """Whether a file begins as that of a model of time series does, rather than as the archive of one of tables."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"  # safetensors: the length of the header in 8 bytes, then its JSON
