"""Kernels for scikit-learn's Gaussian processes and kernel methods."""

import numpy as np
from sklearn.gaussian_process.kernels import Hyperparameter
from sklearn.gaussian_process.kernels import Kernel as SklearnKernel

from widenet._arrays import Array
from widenet.errors import InvalidInput
from widenet.kernels import Kernel
from widenet.kernels.base import require_number
from widenet.kernels.stationary import Stationary

_Bounds = tuple[float, float] | str


class GPKernel(SklearnKernel):
    """variance * K as a kernel of `sklearn.gaussian_process`; made by `as_gp_kernel`.

    Args:
        kernel: K.
        variance: Factor, positive.
        variance_bounds: Bounds between which the marginal likelihood may move the variance, or
            "fixed".
    """

    def __init__(self, kernel: Kernel, variance: float = 1.0, variance_bounds: _Bounds = "fixed") -> None:
        self.kernel = kernel
        self.variance = variance
        self.variance_bounds = variance_bounds

    @property
    def hyperparameter_variance(self) -> Hyperparameter:
        """The variance, on the logarithmic scale of `theta`."""
        return Hyperparameter("variance", "numeric", self.variance_bounds)

    def __call__(self, X: Array, Y: Array | None = None, eval_gradient: bool = False):  # noqa: D102 (scikit-learn's)
        X, Y = _matched(X, None if Y is X else Y)
        K = self.variance * self.kernel(X, Y)
        if not eval_gradient:
            return K
        if Y is not None:
            raise InvalidInput("the gradient of a kernel needs Y to be None", "both X and Y")
        # d (variance K) / d log variance is the matrix itself.
        return K, K[:, :, None] if len(self.theta) else np.empty((*K.shape, 0))

    def diag(self, X: Array) -> Array:
        """K(x, x) of every point, (n,)."""
        return self.variance * self.kernel.diagonal(_matched(X, None)[0])

    def is_stationary(self) -> bool:
        """Whether the kernel is a function of x - y alone."""
        return isinstance(self.kernel, Stationary)

    def __repr__(self) -> str:
        return repr(self.kernel) if self.variance == 1 else f"{self.variance:.3g} * ({self.kernel!r})"


def as_gp_kernel(kernel: Kernel, variance: float = 1.0, variance_bounds: _Bounds = "fixed") -> GPKernel:
    """A kernel as an object of `sklearn.gaussian_process.kernels`.

    It combines with that module's kernels (`+ WhiteKernel()`) and is what to hand to
    GaussianProcessRegressor, KernelRidge and Nystroem: they evaluate such an object on whole
    matrices, but a plain function pair by pair, in n^2 Python calls. SVC takes the kernel itself.

    Args:
        kernel: The kernel, whose own parameters stay as they are.
        variance: Factor of the kernel, positive.
        variance_bounds: Bounds between which GaussianProcessRegressor may move the variance by
            the marginal likelihood, or "fixed".

    Returns:
        The object: it can be cloned, pickled, and has `theta`, `bounds`, gradient and diagonal.

    Raises:
        InvalidInput: If `kernel` is not a kernel of this package or the variance is not positive.

    Example:
        >>> import numpy as np
        >>> from sklearn.gaussian_process import GaussianProcessRegressor
        >>> from widenet.kernels import Laplace
        >>> X, y = np.array([[0.0], [1.0]]), np.array([0.0, 1.0])
        >>> GaussianProcessRegressor(as_gp_kernel(Laplace(2.0))).fit(X, y).predict(X).round(4)
        array([0., 1.])
    """
    if not isinstance(kernel, Kernel):
        raise InvalidInput("as_gp_kernel takes a kernel of widenet", repr(kernel), "Give NTK(...), Laplace(...) or so")
    return GPKernel(kernel, require_number("variance", variance), variance_bounds)


def _matched(X: Array, Y: Array | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Arrays of one dtype: scikit-learn's estimators may meet float64 at fit and float32 at predict."""
    first, second = np.asarray(X), None if Y is None else np.asarray(Y)
    if second is None or first.dtype == second.dtype:
        return first, second
    kind = np.result_type(first, second)
    return first.astype(kind), second.astype(kind)
