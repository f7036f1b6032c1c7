"""What infinitely wide networks predict while they train: mean and covariance of an ensemble, at any time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from widenet._arrays import Array, is_count, read_inputs
from widenet.errors import InvalidInput
from widenet.kernels.base import Kernel, require_number
from widenet.solvers.base import read_targets
from widenet.theory.gram_pair import GramPair
from widenet.theory.training_filters import Stepping, TrainingFilter

Start = Literal["random", "centred", "subtracted"]
Filter = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class GradientFlow:
    """Training of an infinitely wide network on sum (f - y)^2 / 2 over the rows, in function space.

    With the NTK Theta, the NNGP K (the covariance of the start f_0), and rate eta, a network predicts at time t

        f_t(x) = f_0(x) + B_t (y - f_0(X)),    B_t = Theta(x, X) h_t(Theta),    h_t(s) = (1 - exp(-eta s t)) / s,

    so that an ensemble over the starts has the mean B_t y and the covariance
    S_t = K(x, x) + B_t K B_t^T - B_t K(X, x) - K(x, X) B_t^T.

    Weight decay d / 2 |theta - theta_0|^2 replaces s by s + d in h_t. Weight decay d / 2 |theta|^2 adds
    -d h_t(0) J_x theta_0 - d Theta(x, X) r_t(Theta) J theta_0 with r_t(s) = (h_t(s) - h_t(0)) / s and the Jacobian J
    of the start. With `stepping="descent"` the time counts whole steps of gradient descent, and exp(-eta s t) becomes
    (1 - eta s)^t.

    Args:
        ntk: Theta.
        nngp: K. Another kernel than the NNGP describes another law of the start.
        learning_rate: eta; with 1 the time is that of the flow.
        loss: "sum" over the rows, or "mean", which makes n rows n times slower.
        weight_decay: d, the strength of the penalty that is added to the loss.
        decay_to: "start" or "zero": what the parameters are pulled to.
        degree: For the variance with decay to zero, L where scaling all parameters by c scales f by c^L, as in a
            bias-free ReLU network of L layers with weights: then J theta_0 = L f_0.
        start: "random": f_0 as drawn. "centred": f - f_0 is trained from 0, so nothing of the start is left.
            "subtracted": f is trained, and f_0 subtracted afterwards; B_t K B_t^T is left.
        stepping: "flow" or "descent".

    Raises:
        InvalidInput: On anything else.

    References:
        Jacot et al. 2018, arXiv 1806.07572; Lee et al. 2019, arXiv 1902.06720, equations 14 to 16; Lee et al. 2020,
        arXiv 2007.15801, whose interventions these options are. The formulas are derived here.

    Example:
        >>> from math import sqrt
        >>> import numpy as np
        >>> import widenet as wn
        >>> network = wn.fully_connected(3, weight_std=sqrt(2))
        >>> X, y = np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([1.0, -1.0])
        >>> flow = GradientFlow(wn.NTK(network), wn.NNGP(network)).fit(X, y)
        >>> x = np.array([[0.0, 1.0]])
        >>> flow.mean([0.1, 1.0], x)[:, 0].round(6), flow.variance([0.1, 1.0], x)[:, 0].round(6)
        (array([-0.133813, -0.629419]), array([0.63306 , 0.315036]))
    """

    ntk: Kernel
    nngp: Kernel
    learning_rate: float = 1.0
    loss: Literal["sum", "mean"] = "sum"
    weight_decay: float = 0.0
    decay_to: Literal["start", "zero"] = "start"
    degree: float | None = None
    start: Start = "random"
    stepping: Stepping = "flow"

    def __post_init__(self) -> None:
        for name in ("ntk", "nngp"):
            if not isinstance(getattr(self, name), Kernel):
                raise InvalidInput(f"{name} must be a kernel", repr(getattr(self, name)))
        require_number("learning_rate", self.learning_rate)
        require_number("weight_decay", self.weight_decay, positive=False)
        for name, options in (
            ("loss", ("sum", "mean")),
            ("decay_to", ("start", "zero")),
            ("start", ("random", "centred", "subtracted")),
            ("stepping", ("flow", "descent")),
        ):
            if getattr(self, name) not in options:
                raise InvalidInput(f"{name} must be one of {options}", repr(getattr(self, name)))

    def fit(self, X: Array, y: Array) -> "TrainedNetworks":
        """Decompose the NTK's Gram matrix; every time and ridge is then a product.

        Args:
            X: Points to train on, (n, ...).
            y: Targets, (n,) or (n, outputs).

        Returns:
            The trained networks, to ask for predictions. All algebra is float64, whatever the precision of the kernels.

        Raises:
            InvalidInput: On points or targets that are not finite or do not match.

        Cost:
            The Gram matrix and 9 n^3 flops; the variance takes as many again once, for the NNGP.
        """
        inputs = read_inputs(X)
        targets = read_targets(y, len(inputs.X), inputs.X.device)
        single = (y.ndim if isinstance(y, Tensor) else torch.as_tensor(y).ndim) == 1
        grams = GramPair(self.ntk, self.nngp, inputs.X)
        _ = grams.rates  # the decomposition belongs to the fit, not to the first prediction
        return TrainedNetworks(self, targets, grams, (inputs.numpy, single))

    def filter(self, rows: int) -> TrainingFilter:
        """The filter of the eigenvalues for that many rows; a mean over them is as much slower."""
        slower = rows if self.loss == "mean" else 1
        return TrainingFilter(self.learning_rate / slower, self.weight_decay * slower, self.stepping)


@dataclass(frozen=True)
class NetworkStart:
    """What one network computes before it is trained.

    Attributes:
        train: f_0(X) at the training points, (n[, outputs]).
        test: f_0(x) at the points to predict, (m[, outputs]), or None for the training points.
        pull_train: J theta_0 at the training points, the derivative of f along its own parameters, (n[, outputs]);
            only weight decay to zero asks for it. It is L f_0 for a bias-free ReLU network of L layers with weights.
        pull_test: The same at the points to predict.
    """

    train: Array
    test: Array | None = None
    pull_train: Array | None = None
    pull_test: Array | None = None


@dataclass(frozen=True, eq=False)
class TrainedNetworks:
    """Predictions of infinitely wide networks, from `GradientFlow.fit`.

    Times are arrays (times,), of at least 0; infinity means to convergence. Where points are None, the training points
    are meant. Results are float64, in the array kind of the points.

    Attributes:
        flow: What was asked.
        y: Targets, (n, outputs).
        grams: The decomposed Gram matrices of the two kernels.
    """

    flow: GradientFlow
    y: Tensor
    grams: GramPair
    _form: tuple[bool, bool]

    @property
    def eigenvalues(self) -> Array:
        """Of the NTK's Gram matrix, ascending, those below rounding as 0, (n,)."""
        return self._restore(self.grams.rates)

    @property
    def largest_stable_rate(self) -> float:
        """2 / (largest eigenvalue + weight decay), beyond which gradient descent on the wide network diverges."""
        factor = len(self.y) if self.flow.loss == "mean" else 1
        return 2 * factor / (float(self.grams.rates[-1]) + factor * self.flow.weight_decay)

    def mean(self, times: Array, X: Array | None = None) -> Array:
        """Mean B_t y of the ensemble, and prediction of the centred network, (times, m[, outputs])."""
        if X is not None:
            return self._shaped(self._expand(self._filter.learned, self.y, times, X))
        V, left = self.grams.ntk_spectrum.vectors, self._filter.left(self.grams.rates, self._times(times))
        return self._shaped(self.y - V @ (left[:, :, None] * (V.T @ self.y)))

    def member(self, times: Array, start: NetworkStart, X: Array | None = None) -> Array:
        """Predictions of one network from its own start, f_0(x) + B_t (y - f_0(X)), whatever `flow.start` is.

        Args:
            times: Times.
            start: What it computes before training; with weight decay to zero also its derivative along itself.
            X: Points to predict, (m, ...), or None for the training points.

        Returns:
            (times, m[, outputs]).

        Raises:
            InvalidInput: Where the start lacks what is asked for, or shapes do not fit.
        """
        known, added = self._read_start(start.train, start.test, X)
        moved = added + self._expand(self._filter.learned, self.y - known, times, X)
        if self.flow.decay_to == "zero" and self.flow.weight_decay > 0:
            pull, pull_at = self._read_start(start.pull_train, start.pull_test, X)
            moved = moved - self._pulled(pull, pull_at, times, X)
        return self._shaped(moved)

    def variance(self, times: Array, X: Array | None = None, members: int = 1) -> Array:
        """Variance of the outputs over the starts, of each output alike, (times, m).

        Sums of squares, so never negative: with K = R R^T and v = R^-1 K(X, x) it is
        K(x, x) - |v|^2 + |v - R^T B_t^T|^2, the first difference being the NNGP's own posterior variance.

        Args:
            times: Times.
            X: Points, (m, ...), or None for the training points.
            members: Networks whose mean predicts.

        Returns:
            (times, m).

        Raises:
            InvalidInput: On negative times or points of another shape.
        """
        found, prior = self._read_question(times, members), self.grams.open_variance(X)
        own = self._own_share(found).square()
        squares = [a * prior + r.square().sum(0) for a, r in zip(own, self._residuals(found, X), strict=True)]
        return self._restore(torch.stack(squares) / members)

    def covariance(self, times: Array, X: Array | None = None, members: int = 1) -> Array:
        """Covariance S_t of the outputs over the starts, (times, m, m).

        Args:
            times: Times.
            X: Points, (m, ...), or None for the training points.
            members: Networks whose mean predicts.

        Returns:
            (times, m, m).

        Raises:
            InvalidInput: On negative times or points of another shape.
        """
        found, prior = self._read_question(times, members), self.grams.open_covariance(X)
        own = self._own_share(found).square()
        squares = [a * prior + r.T @ r for a, r in zip(own, self._residuals(found, X), strict=True)]
        return self._restore(torch.stack(squares) / members)

    def ridge_mean(self, ridges: Array, X: Array | None = None, kernel: Literal["ntk", "nngp"] = "ntk") -> Array:
        """Kernel ridge regression k(x, X) (k + r tr(k) / n I)^-1 y, (ridges, m[, outputs]).

        For the NTK with a ridge this is training to convergence with weight decay r tr(Theta) / n on the way from the
        start; for the NNGP it is the posterior mean of the Bayesian network. Ridges are relative to the mean diagonal.

        Args:
            ridges: r, (ridges,).
            X: Points, (m, ...), or None for the training points.
            kernel: "ntk" or "nngp".

        Returns:
            (ridges, m[, outputs]).

        Raises:
            InvalidInput: On another kernel, or a negative ridge.
            NotPositiveDefinite: Where a ridge is too small for the rounding of the Gram matrix.
        """
        if kernel not in ("ntk", "nngp"):
            raise InvalidInput("kernel must be 'ntk' or 'nngp'", repr(kernel))
        spectrum = self.grams.ntk_spectrum if kernel == "ntk" else self.grams.nngp_spectrum
        coefficients = torch.as_tensor(spectrum.coefficients(self.y, ridges))
        return self._shaped(self.grams.kernel_cross(kernel, X) @ coefficients)

    def posterior_variance(self, ridges: Array, X: Array | None = None) -> Array:
        """Variance K(x, x) - K(x, X) (K + r tr(K) / n I)^-1 K(X, x) of the Bayesian network, (ridges, m).

        Args:
            ridges: r, (ridges,), relative to the mean diagonal.
            X: Points, (m, ...), or None for the training points.

        Returns:
            (ridges, m).
        """
        s, known = self.grams.nngp_rates, self.grams.whitened_cross(X).square()
        prior, found = self.grams.open_variance(X), []
        for ridge in torch.as_tensor(ridges, dtype=torch.float64).reshape(-1):
            noise = ridge * self.grams.nngp_spectrum.diagonal.mean()
            # |v|^2 is known without noise; with it, each direction keeps noise / (s + noise) of its part.
            found.append(prior + (noise / torch.where(s > 0, s + noise, 1.0)) @ known)
        return self._restore(torch.stack(found))

    def equivalent_ridges(self, times: Array) -> Array:
        """Relative ridges n / (eta t tr(Theta)) that act much like stopping at these times, (times,).

        A rule of thumb: 1 - exp(-eta s t) and s / (s + r) both pass s >> 1 / (eta t) and stop s << 1 / (eta t).
        """
        rate = self.flow.learning_rate / (len(self.y) if self.flow.loss == "mean" else 1)
        return self._restore(1 / (rate * self._times(times) * self.grams.ntk_spectrum.diagonal.mean()))

    @cached_property
    def _filter(self) -> TrainingFilter:
        return self.flow.filter(len(self.y))

    def _expand(self, filters: Filter, targets: Tensor, times: Array, X: Array | None) -> Tensor:
        """Theta(x, X) V diag(filter) V^T targets for every time, (times, m, outputs)."""
        V = self.grams.ntk_spectrum.vectors
        rotated = filters(self.grams.rates, self._times(times))[:, :, None] * (V.T @ targets)
        return self.grams.cross(X) @ rotated

    def _pull(self, eigenvalues: Tensor, times: Tensor) -> Tensor:
        """r_t(s), (times, n), 0 at s = 0, where Theta(x, X) has no part either."""
        positive = torch.where(eigenvalues > 0, eigenvalues, 1.0)
        gap = self._filter.learned(eigenvalues, times) - self._at_zero(times)[:, None]
        return torch.where(eigenvalues > 0, gap / positive, 0.0)

    def _at_zero(self, times: Tensor) -> Tensor:
        """h_t(0), (times,)."""
        return self._filter.learned(torch.zeros(1, dtype=torch.float64, device=times.device), times)[:, 0]

    def _pulled(self, pull: Tensor, pull_at: Tensor, times: Array, X: Array | None) -> Tensor:
        """What weight decay to zero takes off, (times, m, outputs)."""
        own = self._at_zero(self._times(times))[:, None, None] * pull_at
        return self._filter.decay * (own + self._expand(self._pull, pull, times, X))

    def _read_start(self, train: Array | None, test: Array | None, X: Array | None) -> tuple[Tensor, Tensor]:
        """Outputs at the training points and at the points to predict, (n, outputs) and (m, outputs)."""
        if train is None or (X is None) != (test is None):
            got = "None" if train is None else "one of X and its outputs without the other"
            raise InvalidInput("a start must have outputs at the training points and at those to predict", got)
        known = read_targets(train, len(self.y), self.y.device)
        at = known if X is None else read_targets(test, len(self.grams.points(X)), self.y.device)
        for part in (known, at):
            if part.shape[1] != self.y.shape[1]:
                raise InvalidInput(f"a start must have {self.y.shape[1]} outputs", str(part.shape[1]))
        return known, at

    def _own_share(self, times: Tensor) -> Tensor:
        """a_t of f_t(x) = a_t f_0(x) + Theta(x, X) (h_t y - q_t f_0(X)), (times,)."""
        share = torch.full_like(times, 1.0 if self.flow.start == "random" else 0.0)
        return share - self._filter.decay * self._degree * self._at_zero(times) if self._degree else share

    def _start_filter(self, eigenvalues: Tensor, times: Tensor) -> Tensor:
        """q_t(s) of the same, (times, n)."""
        learned = self._filter.learned(eigenvalues, times)
        found = torch.zeros_like(learned) if self.flow.start == "centred" else learned
        return found + self._filter.decay * self._degree * self._pull(eigenvalues, times) if self._degree else found

    @property
    def _degree(self) -> float:
        """L where the starts are pulled to zero, else 0."""
        if self.flow.decay_to == "start" or self.flow.weight_decay == 0:
            return 0.0
        if self.flow.degree is None:
            cure = "Give the number of layers with weights of a bias-free ReLU network, or decay to the start"
            raise InvalidInput("the variance with weight decay to zero needs the degree of the network", "None", cure)
        return self.flow.degree

    def _residuals(self, times: Tensor, X: Array | None) -> list[Tensor]:
        """a_t v - R^T q_t(Theta) Theta(X, x) for every time, (n, m)."""
        if X is None:
            # v = R^T, so it is R^T (a_t - s q_t): the differences are left to the filter, which takes none.
            s = self.grams.rates
            learned, left = self._filter.learned(s, times), self._filter.left(s, times)
            base = {"random": left, "centred": torch.zeros_like(learned), "subtracted": -s * learned}[self.flow.start]
            shares = base - self._filter.decay * self._degree * learned
            return [self.grams.root.T @ (share[:, None] * self.grams.ntk_spectrum.vectors.T) for share in shares]
        cross, known = self.grams.cross(X).T, self.grams.whitened_cross(X)
        filters, own = self._start_filter(self.grams.rates, times), self._own_share(times)
        return [a * known - self.grams.root.T @ (q[:, None] * cross) for a, q in zip(own, filters, strict=True)]

    def _read_question(self, times: Array, members: object) -> Tensor:
        if not is_count(members):
            raise InvalidInput("members must be a whole number of at least 1", repr(members))
        return self._times(times)

    def _times(self, times: Array) -> Tensor:
        found = torch.as_tensor(times, dtype=torch.float64, device=self.y.device).reshape(-1)
        if not bool((found >= 0).all()):
            raise InvalidInput("times must be at least 0", str(found.tolist()))
        if self.flow.stepping == "descent" and not bool(((found == found.round()) | found.isinf()).all()):
            raise InvalidInput("times of gradient descent must be whole numbers of steps", str(found.tolist()))
        return found

    def _restore(self, result: Tensor) -> Array:
        return result.numpy() if self._form[0] else result

    def _shaped(self, result: Tensor) -> Array:
        return self._restore(result[..., 0] if self._form[1] else result)
