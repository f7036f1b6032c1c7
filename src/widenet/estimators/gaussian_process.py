"""Gaussian process regression."""

import math
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import check_random_state

from widenet.errors import InvalidInput
from widenet.estimators._base import KernelEstimator, kernel_diagonal, prediction_blocks
from widenet.estimators.model_file import Tensors
from widenet.estimators.selection import check_gram
from widenet.solvers.auto import Auto


class GaussianProcess(RegressorMixin, KernelEstimator):
    """Gaussian process regression: y = m + f(x) + noise, f ~ GP(0, s K), noise ~ N(0, s r / w).

    m is the weighted mean of the targets, r the ridge, w the sample weight and s the amplitude. By default
    s = (y - m)^T (K + r W^-1)^-1 (y - m) / n, which maximises the marginal likelihood in closed form. With
    an NNGP as kernel this is Bayesian inference with the infinitely wide network.

    Kernel and ridge are chosen as in `KernelRegressor`. Everything is float64, since variances are differences.

    Args:
        kernel: "auto", a kernel, a sequence of kernels to choose from, or any function of two arrays.
        ridge: Variance of the noise over that of f: "auto" (by leave-one-out error) or a number of at least 0.
        ridge_scale: "relative" (times the mean diagonal of the Gram matrix) or "absolute".
        amplitude: s, or "auto".
        standardize: Whether features are brought to mean 0 and variance 1 first.
        combine: How many of the best kernels are averaged; 1 takes the best alone.

    Attributes:
        kernel_, ridge_, selection_, scaler_, X_fit_, dual_coef_, solution_, target_mean_: As in `KernelRegressor`.
        amplitude_: s.

    References:
        Rasmussen and Williams 2006, algorithm 2.1; Lee et al. 2018, arXiv 1711.00165.

    Example:
        >>> import numpy as np
        >>> from widenet.kernels import Gaussian
        >>> X = np.linspace(0.0, 1.0, 20)[:, None]
        >>> model = GaussianProcess(Gaussian(1.0), ridge=1e-6).fit(X, np.sin(3 * X[:, 0]))
        >>> bool(model.predict_std([[0.5]])[0] < 0.01 < model.predict_std([[9.0]])[0])
        True
    """

    # Parameters are Any: scikit-learn wants them kept as they come and refused in fit.
    def __init__(
        self,
        kernel: Any = "auto",
        ridge: Any = "auto",
        ridge_scale: Any = "relative",
        amplitude: Any = "auto",
        standardize: Any = True,
        combine: Any = 10,
    ) -> None:
        self.kernel = kernel
        self.ridge = ridge
        self.ridge_scale = ridge_scale
        self.amplitude = amplitude
        self.standardize = standardize
        self.combine = combine

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose kernel and ridge where they are "auto", and condition on the rows.

        Args:
            X: Rows, (n, d).
            y: Targets, (n,).
            sample_weight: Weights of at least 0, (n,), or None for ones.

        Raises:
            InvalidInput: On gaps, text, one row, a constant target, or arguments out of range.
            MemoryLimitExceeded: Where the Gram matrix cannot fit.
            NotPositiveDefinite: Where the ridge is too small for the rounding of the kernel.
        """
        amplitude = _read_amplitude(self.amplitude)
        X, y, weight = self._read_training(X, y, sample_weight, y_numeric=True)
        target = np.asarray(y, dtype=np.float64)[:, None]
        if (target == target[0]).all():
            raise InvalidInput("a target to learn must vary", f"{target[0, 0]:g} in all {len(y)} rows")
        used = weight > 0
        X, target, self._weight = X[used], target[used], weight[used]
        Auto().decide(len(X), "float64")
        self.X_fit_ = self._scale_rows(X, self._weight)
        self.target_mean_ = self._weight @ target / self._weight.sum()
        target = target - self.target_mean_
        gram = self._choose(self.X_fit_, target, self._weight).gram
        self._factor = self._factorise(self.X_fit_, self._weight, np.float64, gram)
        self.solution_ = self._factor.solve(target)
        self.dual_coef_ = self.solution_.value
        self._quadratic = float((target * self.dual_coef_).sum())
        self.amplitude_ = self._quadratic / len(X) if amplitude is None else amplitude
        if not 0 < self.amplitude_ < math.inf:
            largest = f"{self.amplitude_:g} from centred targets of at most {np.abs(target).max():.3g}"
            raise InvalidInput("the targets must have a variance that float64 can hold", largest, "Rescale them")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Posterior mean, (m,)."""
        return self._expansion(X)[:, 0]

    def predict_std(self, X: Any) -> np.ndarray:
        """Posterior standard deviation of m + f(x), without the noise, (m,)."""
        X = self._read_rows(X)
        rows = self.scaler_.transform(X, np.float64)
        prior = kernel_diagonal(self.kernel_, rows)
        known = np.empty(len(rows))
        for block in prediction_blocks(rows, self.X_fit_):
            half = np.asarray(self._factor.half_solve(check_gram(self.kernel_, self.X_fit_, rows[block])))
            known[block] = np.square(half).sum(axis=0)
        return np.sqrt(self.amplitude_ * np.maximum(prior - known, 0.0))

    def predict_cov(self, X: Any) -> np.ndarray:
        """Posterior covariance of m + f at the rows, without the noise, (m, m)."""
        X = self._read_rows(X)
        rows = self.scaler_.transform(X, np.float64)
        half = np.asarray(self._factor.half_solve(check_gram(self.kernel_, self.X_fit_, rows)))
        return self.amplitude_ * (check_gram(self.kernel_, rows) - half.T @ half)

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0) -> np.ndarray:
        """Draws of m + f at the rows from the posterior, (m, n_samples)."""
        draws = check_random_state(random_state).standard_normal((len(self._read_rows(X)), n_samples))
        values, vectors = np.linalg.eigh(self.predict_cov(X))
        return self.predict(X)[:, None] + vectors @ (np.sqrt(np.maximum(values, 0.0))[:, None] * draws)

    def log_marginal_likelihood(self) -> float:
        """Logarithm of p(y) of the centred targets under N(0, s (K + r W^-1))."""
        n = len(self.X_fit_)
        spread = self._factor.log_determinant() + n * math.log(2 * math.pi * self.amplitude_)
        return -0.5 * (self._quadratic / self.amplitude_ + spread)

    def _tensors(self) -> Tensors:
        return {**super()._tensors(), "weight": self._weight}

    def _info(self) -> dict[str, Any]:
        return {**super()._info(), "amplitude": self.amplitude_, "quadratic": self._quadratic}

    @classmethod
    def from_state(cls, tensors: Tensors, info: dict[str, Any]) -> Self:
        """The process with the state of a file, factorised again; `widenet.load` calls it."""
        model = super().from_state(tensors, info)
        model._weight = tensors["weight"]
        model.amplitude_, model._quadratic = float(info["amplitude"]), float(info["quadratic"])
        model._factor = model._factorise(model.X_fit_, model._weight, np.float64)
        return model


def _read_amplitude(amplitude: Any) -> float | None:
    if isinstance(amplitude, str) and amplitude == "auto":
        return None
    if isinstance(amplitude, bool) or not isinstance(amplitude, (int, float, np.number)) or not 0 < amplitude < np.inf:
        raise InvalidInput("the amplitude must be 'auto' or a finite positive number", repr(amplitude))
    return float(amplitude)
