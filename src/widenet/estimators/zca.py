"""Regularised ZCA whitening as a scikit-learn transformer."""

from typing import Any, Self

import numpy as np
import scipy.linalg
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from widenet.errors import InvalidInput

_ROUNDING = 8  # eigenvalues below this many units in the last place of the largest one are those of null directions


class ZCA(TransformerMixin, BaseEstimator):
    """Regularised ZCA whitening: x W with W = U diag((s + r)^-1/2) U^T.

    Each row first loses its mean and is divided by its norm (`normalize`), as an image its brightness and contrast;
    rows without contrast become 0. C = Z^T Z / n = U diag(s) U^T is the second moment of these rows, without centring
    of the features, with the trace 1. The strength r of the regularisation is `ridge` times tr(C) / d, or absolute: as
    it goes to 0 the features are whitened in full, as it grows only their scale changes.

    Directions in which the training rows have nothing (s = 0 up to rounding: the constant one where rows are centred,
    and all beyond n where there are fewer rows than features) get a factor by rule, never from rounding.

    Args:
        ridge: At least 0.
        ridge_scale: "relative" or "absolute".
        normalize: Whether each row is centred and divided by its norm first.
        null_directions: Factor of the null directions: "one" (as the released code of the paper's authors has it),
            "zero", or "ridge", r^-1/2, with which the map does not jump as an eigenvalue vanishes.

    Attributes:
        whitening_: W, (d, d).
        eigenvalues_: s, descending, (d,).
        regularization_: The absolute r.
        n_null_: Number of null directions.
        n_features_in_: d.

    References:
        Lee et al. 2020, arXiv 2007.15801, section on regularised ZCA; Shankar et al. 2020, arXiv 2003.02237.

    Example:
        >>> import numpy as np
        >>> X = np.random.default_rng(0).normal(size=(100, 4)) * [1.0, 2.0, 4.0, 8.0]
        >>> Z = ZCA(ridge=0.0, normalize=False).fit_transform(X)
        >>> bool(np.allclose(Z.T @ Z / 100, np.eye(4)))
        True
    """

    n_features_in_: int

    # Parameters are Any: scikit-learn wants them kept as they come and refused in fit.
    def __init__(
        self, ridge: Any = 0.1, ridge_scale: Any = "relative", normalize: Any = True, null_directions: Any = "one"
    ) -> None:
        self.ridge = ridge
        self.ridge_scale = ridge_scale
        self.normalize = normalize
        self.null_directions = null_directions

    def fit(self, X: Any, y: object = None) -> Self:
        """Find W from training rows; never from those to predict.

        Args:
            X: Rows, (n, d), such as images with their pixels in a row.
            y: Ignored.

        Raises:
            InvalidInput: On gaps or text in the rows, parameters out of range, or rows of which nothing is left.

        Cost:
            n d^2 + 9 d^3 flops in float64.
        """
        self._check_parameters()
        try:
            X = validate_data(self, X, dtype=[np.float64, np.float32])
        except ValueError as error:
            raise InvalidInput("rows to whiten must be numbers without gaps", str(error)) from error
        Z = self._normalized(X)
        with np.errstate(over="ignore", invalid="ignore"):
            C = Z.T @ Z / len(Z)
        trace = float(np.trace(C))
        if not 0 < trace < np.inf:
            got = f"a second moment of {trace} over {X.shape[1]} feature(s)"
            raise InvalidInput("rows to whiten must differ from a constant and be finite in square", got)
        s, U = scipy.linalg.eigh(C, driver="evd", check_finite=False)
        null = s <= _ROUNDING * np.finfo(np.float64).eps * max(C.shape[0], 1) * s[-1]
        level = trace / C.shape[0] if self.ridge_scale == "relative" else 1.0
        self.regularization_ = float(self.ridge) * level
        factors = 1 / np.sqrt(np.where(null, 1.0, s) + np.where(null, 0.0, self.regularization_))
        factors[null] = self._null_factor()
        self.whitening_ = (U * factors) @ U.T
        self.eigenvalues_ = np.where(null, 0.0, s)[::-1]
        self.n_null_ = int(null.sum())
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Normalise the rows and whiten them.

        Args:
            X: Rows, (m, d).

        Returns:
            (m, d), in the precision of the rows.

        Raises:
            InvalidInput: Where they are not like those of the fit.
        """
        check_is_fitted(self)
        try:
            X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        except ValueError as error:
            raise InvalidInput("rows to whiten must be like those of the fit", str(error)) from error
        return (self._normalized(X) @ self.whitening_).astype(X.dtype, copy=False)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the whitened features, zca0, zca1 and so on: they are pixels again, but none of the old ones."""
        check_is_fitted(self)
        return np.array([f"zca{i}" for i in range(self.n_features_in_)], dtype=object)

    def _normalized(self, X: np.ndarray) -> np.ndarray:
        Z = X.astype(np.float64)
        if not self.normalize:
            return Z
        unit = np.abs(Z).max(axis=1, keepdims=True)
        Z = Z / np.where(unit > 0, unit, 1.0)  # squares stay in range
        size = np.sqrt(np.square(Z).sum(axis=1, keepdims=True))
        Z = Z - Z.mean(axis=1, keepdims=True)
        norm = np.sqrt(np.square(Z).sum(axis=1, keepdims=True))
        # What is left of a constant row is rounding, which must not be blown up to 1.
        flat = norm <= _ROUNDING * np.finfo(X.dtype).eps * size
        return np.where(flat, 0.0, Z / np.where(flat, 1.0, norm))

    def _null_factor(self) -> float:
        if self.null_directions == "ridge":
            return 1 / np.sqrt(self.regularization_)
        return 1.0 if self.null_directions == "one" else 0.0

    def _check_parameters(self) -> None:
        ridge = self.ridge
        if isinstance(ridge, bool) or not isinstance(ridge, (int, float, np.number)) or not 0 <= ridge < np.inf:
            raise InvalidInput("the ridge must be a finite number of at least 0", repr(ridge))
        if self.ridge_scale not in ("relative", "absolute"):
            raise InvalidInput("ridge_scale must be 'relative' or 'absolute'", repr(self.ridge_scale))
        if not isinstance(self.normalize, (bool, np.bool_)):
            raise InvalidInput("normalize must be True or False", repr(self.normalize))
        if self.null_directions not in ("one", "zero", "ridge"):
            raise InvalidInput("null_directions must be 'one', 'zero' or 'ridge'", repr(self.null_directions))
        if self.null_directions == "ridge" and ridge == 0:
            raise InvalidInput("without a ridge null directions need another factor", "'ridge'", "Take 'one' or 'zero'")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
