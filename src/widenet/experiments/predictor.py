"""A model with the encoding of its table: fitted on data frames, kept in one file, and read without running code."""

import json
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd

from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators import GaussianProcess, KernelClassifier, load
from widenet.estimators.table_encoder import TableEncoder
from widenet.experiments.tables import LabelKind, Table, restore_labels
from widenet.experiments.written import written_aside
from widenet.kernels import Kernel

_FORMAT = "widenet predictor 1"
_TABLE, _MODEL = "table.json", "model.safetensors"


@dataclass(frozen=True, eq=False)
class Predictor:
    """A fitted kernel model with what it needs to read tables.

    Attributes:
        encoder: The encoder of the feature columns.
        model: A Gaussian process for regression, a kernel classifier for classification.
        target_name: Name of the target column.
        label_kind: What the labels were in the table.
    """

    encoder: TableEncoder
    model: GaussianProcess | KernelClassifier
    target_name: str
    label_kind: LabelKind

    @classmethod
    def fit(cls, table: Table, kernel: Kernel | str = "auto", ridge: float | str = "auto") -> Self:
        """Encode a table and fit the model of its task; kernel and ridge by leave-one-out error where "auto".

        Raises:
            InvalidInput: Where the table cannot be learned from.
        """
        encoder = TableEncoder().fit(table.features)
        X = encoder.transform(table.features)
        learner = GaussianProcess if table.task == "regression" else KernelClassifier
        model = learner(kernel=kernel, ridge=ridge, standardize=False).fit(X, table.target)
        return cls(encoder, model, table.target_name, table.label_kind)

    @property
    def task(self) -> str:
        """What it predicts: "regression" or "classification"."""
        return "regression" if isinstance(self.model, GaussianProcess) else "classification"

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predictions for the rows of a table.

        Args:
            frame: A table with the feature columns of the fit; its other columns are not looked at.

        Returns:
            Regression: `prediction` and `std`, the standard deviation of a new observation, noise included.
            Classification: `prediction` and one `probability of ...` for each class.

        Raises:
            InvalidInput: Where columns are missing or cells do not fit their column.
        """
        X = self.encoder.transform(frame)
        if isinstance(self.model, GaussianProcess):
            noise = self.model.amplitude_ * self.model.ridge_ * float(np.mean(self._diagonal()))
            std = np.sqrt(np.square(self.model.predict_std(X)) + noise)
            return pd.DataFrame({"prediction": self.model.predict(X), "std": std}, index=frame.index)
        probabilities = self.model.predict_proba(X)
        labels = restore_labels(np.asarray(self.model.predict(X)), self.label_kind)
        columns = {f"probability of {name}": probabilities[:, i] for i, name in enumerate(self.model.classes_)}
        return pd.DataFrame({"prediction": labels, **columns}, index=frame.index)

    def save(self, path: Path) -> None:
        """Write one file: a zip archive of the model (safetensors) and of the table's encoding (JSON).

        Raises:
            InvalidFile: If the file cannot be written.
        """
        about = {
            "format": _FORMAT,
            "target": self.target_name,
            "label_kind": self.label_kind,
            "encoder": self.encoder.to_json(),
        }
        with tempfile.TemporaryDirectory() as folder, written_aside(path) as aside:
            self.model.save(Path(folder) / _MODEL)
            with zipfile.ZipFile(aside, "w") as archive:
                archive.writestr(_TABLE, json.dumps(about))
                archive.write(Path(folder) / _MODEL, _MODEL)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; nothing in the file is run.

        Raises:
            InvalidFile: If the file is missing, corrupt, or not such a file.
        """
        try:
            with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
                if sorted(archive.namelist()) != sorted([_TABLE, _MODEL]):
                    raise InvalidFile(f"{path} must be a model saved by `widenet fit`", "another archive")
                about = json.loads(archive.read(_TABLE))
                (Path(folder) / _MODEL).write_bytes(archive.read(_MODEL))
                model = load(Path(folder) / _MODEL)
            known = about["format"] == _FORMAT and about["label_kind"] in ("number", "integer", "boolean", "text")
            encoder, target, kind = TableEncoder.from_json(about["encoder"]), str(about["target"]), about["label_kind"]
            known = known and (kind == "number") == isinstance(model, GaussianProcess)
            if isinstance(model, KernelClassifier):
                restore_labels(model.classes_, kind)
        except InvalidFile as error:
            raise InvalidFile(f"{path} must be a model saved by `widenet fit`", error.got or error.asked) from None
        except OSError as error:
            raise InvalidFile(f"{path} cannot be read", error.strerror or type(error).__name__) from None
        # An archive with flipped bytes can ask for passwords or unknown compression as well.
        except (
            zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, RecursionError, RuntimeError, EOFError,
        ) as error:  # fmt: skip
            raise InvalidFile(f"{path} must be a model saved by `widenet fit`", type(error).__name__) from None
        if not known or not isinstance(model, (GaussianProcess, KernelClassifier)):
            raise InvalidFile(f"{path} must be a model saved by `widenet fit`", "parts of another kind")
        if model.scaler_.mean.shape != (len(encoder.get_feature_names_out()),):
            raise InvalidFile(f"{path} must be a model saved by `widenet fit`", "parts that do not fit each other")
        return cls(encoder, model, target, kind)

    def _diagonal(self) -> np.ndarray:
        kernel, X = self.model.kernel_, self.model.X_fit_
        if not isinstance(kernel, Kernel):
            raise InvalidInput("a predictor needs a kernel of this package", type(kernel).__name__)
        return np.asarray(kernel.diagonal(X))
