"""Explicit features of wide-network kernels as a scikit-learn transformer."""

from typing import Any, Self

import numpy as np
import scipy.sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from widenet._arrays import is_count
from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.features.base import FeatureMap, FittedMap
from widenet.features.nystrom import Nystroem
from widenet.features.sketch import Sketch
from widenet.kernels import NTK, Kernel

METHODS = ("sketch", "nystroem")


class NTKFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Features of an NTK as a transformer: any linear model on them is close to the kernel method.

    `Z @ Z.T` is close to the kernel's Gram matrix, so that a linear model, PCA or k-means on Z is that method with the
    NTK. `FeatureRegressor` and `FeatureClassifier` have ridge regression on such features in one piece.

    Args:
        n_components: Number of features.
        depth: Hidden layers of the ReLU network, where `kernel` is None.
        bias_std: Standard deviation of its biases, likewise.
        kernel: Another kernel, or None for that of the network.
        method: "sketch": the features that fit the kernel (`Sketch`): of a network without biases products along the
            principal directions of the rows. "nystroem": the kernel at landmarks among the rows; rows must be dense.
        random_state: Seed of the features.

    Attributes:
        map_: The fitted feature map.
        n_features_in_, feature_names_in_: Of the rows.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> X, y = load_iris(return_X_y=True)
        >>> model = make_pipeline(StandardScaler(), NTKFeatures(n_components=100, depth=2), LogisticRegression())
        >>> model.fit(X, y).score(X, y) > 0.97
        True
    """

    n_features_in_: int
    map_: FittedMap

    # Parameters are Any: scikit-learn wants them kept as they come and refused in fit.
    def __init__(
        self,
        n_components: Any = 1024,
        depth: Any = 3,
        bias_std: Any = 0.0,
        kernel: Any = None,
        method: Any = "sketch",
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.depth = depth
        self.bias_std = bias_std
        self.kernel = kernel
        self.method = method
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: Any, y: object = None) -> Self:
        """Fix the features for rows like X.

        Args:
            X: Rows, (n, d), dense or sparse (CSR), which is never made dense.
            y: Ignored.

        Raises:
            InvalidInput: On gaps, text, or arguments out of range.
        """
        maker = self._maker()
        rows = self._read(X, fresh=True)
        self.map_ = maker.fit(rows)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features of rows, (n, n_components), in the precision of the rows.

        Raises:
            InvalidInput: On rows unlike those of the fit.
        """
        check_is_fitted(self)
        return np.asarray(self.map_.transform(self._read(X, fresh=False)))

    @property
    def _n_features_out(self) -> int:
        return self.map_.size

    def _maker(self) -> FeatureMap:
        if self.kernel is not None and not isinstance(self.kernel, Kernel):
            raise InvalidInput("kernel must be None or a kernel of this package", repr(self.kernel)[:80])
        if self.method not in METHODS:
            raise InvalidInput(f"method must be one of {', '.join(METHODS)}", repr(self.method))
        if not is_count(self.n_components):
            raise InvalidInput("n_components must be a whole number of at least 1", repr(self.n_components))
        seed = self.random_state
        if not is_count(seed, 0):
            seed = int(check_random_state(seed).randint(2**31 - 1))
        kernel = self.kernel
        if kernel is None:
            kernel = NTK(fully_connected(self.depth, bias_std=self.bias_std, scaling="geifman"))
        maker = Sketch if self.method == "sketch" else Nystroem
        return maker(kernel, int(self.n_components), int(seed))

    def _read(self, X: Any, *, fresh: bool) -> Any:
        try:
            rows = validate_data(self, X, reset=fresh, accept_sparse="csr", dtype=[np.float64, np.float32])
        except ValueError as error:
            raise InvalidInput("rows must be numbers without gaps", str(error)) from error
        return scipy.sparse.csr_array(rows) if scipy.sparse.issparse(rows) else rows
