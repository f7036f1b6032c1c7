"""Ridge regression on explicit features of wide-network kernels, for any number of rows."""

from typing import Any, Self

import numpy as np
from sklearn.base import MultiOutputMixin, RegressorMixin

from widenet.errors import InvalidInput
from widenet.estimators.feature_base import FeatureEstimator
from widenet.estimators.ridge_stream import RidgeStream
from widenet.estimators.row_sources import RowBlock, RowSource
from widenet.estimators.stream_fit import finite_targets


class FeatureRegressor(MultiOutputMixin, RegressorMixin, FeatureEstimator):
    """Ridge regression on features z(x) of a kernel: kernel ridge regression whose cost is linear in the rows.

    Minimises sum_i w_i |y_i - z(x_i) . a - b|^2 + ridge |a|^2 over a and b, from the sums Z^T W Z and Z^T W y of one
    pass over the rows (`NormalEquations`). The ridge is that of least generalised cross-validation score over all
    rows, of those under which a function has at most 100 times the variance of the targets. Rows come as arrays
    (`fit`), batch by batch (`partial_fit`), or from files larger than memory (`fit_stream`).

    With features "auto" a kernel is chosen on up to 1,000 rows as `KernelRegressor` does, and its features are those
    of `Nystroem`; sparse rows get principal features of a ReLU network without bias. Both are fixed by a sample of
    10,000 rows or more.

    Args:
        features: "auto", a kernel (Nystroem features of it; of sparse rows principal features), or a feature map.
        size: Number of features where `features` is no map: cost grows with its square, the error falls with it.
        ridge: "auto" or a number of at least 0.
        ridge_scale: "relative" (times the mean squared norm of the features) or "absolute".
        standardize: Whether dense columns are brought to mean 0 and variance 1 first, by the sample. Sparse ones never.
        random_state: Seed of the sample and of the features.

    Attributes:
        ridge_: The relative ridge.
        gcv_: GCV score of every ridge that was compared.
        selection_: The table of the choice of the kernel.
        encoder_: Encoder of the columns of a table, after `fit_stream` of one.
        n_features_in_, feature_names_in_: Of the rows.

    Example:
        >>> import numpy as np
        >>> from widenet.kernels import Laplace
        >>> X = np.random.default_rng(0).uniform(-1, 1, size=(3000, 2))
        >>> y = np.sin(3 * X[:, 0]) * X[:, 1]
        >>> model = FeatureRegressor(Laplace(2.0), size=300).fit(X, y)
        >>> model.score(X, y) > 0.999
        True
    """

    single_target_: bool

    # Parameters are Any: scikit-learn wants them kept as they come and refused in fit.
    def __init__(
        self,
        features: Any = "auto",
        size: Any = 1024,
        ridge: Any = "auto",
        ridge_scale: Any = "relative",
        standardize: Any = True,
        random_state: Any = 0,
    ) -> None:
        self.features = features
        self.size = size
        self.ridge = ridge
        self.ridge_scale = ridge_scale
        self.standardize = standardize
        self.random_state = random_state

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Take further rows in: the result is that of all rows so far.

        Features are chosen by the first 10,000 rows; a prediction before that is the fit of the rows so far.

        Args:
            X: Rows, (n, d), dense or sparse; after `fit_stream` of a table, a data frame.
            y: Targets, (n,) or (n, outputs).
            sample_weight: Weights of at least 0, (n,), or None for ones.

        Raises:
            InvalidInput: On gaps, text, or rows of another form than those before.
        """
        return self._partial_fit(X, y, None, sample_weight)

    def predict(self, X: Any) -> np.ndarray:
        """Predicted targets, (m,) or (m, outputs)."""
        predicted = self._predictions(X)
        return predicted[:, 0] if self.single_target_ else predicted

    def _first(self, y: np.ndarray, classes: Any) -> int:
        self.single_target_ = y.ndim == 1
        self._target_count = 1 if y.ndim == 1 else y.shape[1]
        return self._target_count

    def _outputs(self, y: np.ndarray, stream: RidgeStream) -> np.ndarray:
        target = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        if target.shape[1] != stream.outputs:
            raise InvalidInput(f"targets must have {stream.outputs} columns as before", str(target.shape[1]))
        return target

    def _block_targets(self, block: RowBlock, source: RowSource) -> np.ndarray:
        target = finite_targets(block, source)
        return target[:, 0] if block.y.ndim == 1 else target

    def _check_whole(self, stream: RidgeStream) -> None:
        spectrum = stream.solve().spectrum
        rounding = 16 * np.finfo(np.float64).eps * np.abs(spectrum.target_mean)
        if not (np.sqrt(spectrum.target_variances) > rounding).any():
            raise InvalidInput("a target to learn must vary", "one constant in all rows")

    def _target_state(self) -> dict[str, Any]:
        return {"single": self.single_target_, "count": self._target_count}

    def _restore_targets(self, state: dict[str, Any]) -> int:
        self.single_target_, self._target_count = bool(state["single"]), int(state["count"])
        return self._target_count
