"""Sparse parities that a skewed distribution of the inputs shows to gradients, with moments and edges in closed form.

The problems follow Malach et al. 2021, arXiv 2103.01210. `BiasedParity` is the distribution of its experiments as far
as that was seen; the exact form of `LeakyParity` is this library's, after an idea of the paper. All closed forms are
derived here.
"""

from dataclasses import dataclass
from math import ceil, comb, inf, sqrt

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr, roots_hermitenorm

from widenet.errors import InvalidInput
from widenet.theory.parity_problem import ParityProblem

_NODES = 64


@dataclass(frozen=True)
class BiasedParity(ParityProblem):
    """y = chi_S(x) = prod_{i in S} x_i; x uniform or, with probability alpha, of independent entries with mean mu.

    The skewed part makes the parity weakly linear: E[y x_i] = alpha mu^(k-1) for i in S and alpha mu^(k+1) elsewhere.
    One gradient of a model that starts at 0 therefore shows S, while the edge of linear functions, and with it that of
    kernels, is tiny.

    Attributes:
        n: Coordinates.
        k: Those that the parity multiplies, 2 to n: S = (0, ..., k - 1).
        alpha: Share of points with the skewed law, 0 to 1.
        mu: Mean of their entries, above -1 and below 1.

    Raises:
        InvalidInput: On values outside of these ranges.

    References:
        Malach, Kamath, Abbe and Srebro 2021, arXiv 2103.01210; closed forms derived here.

    Example:
        >>> problem = BiasedParity(n=128, k=7, alpha=0.5)
        >>> problem.label_correlations[[0, 127]], f"{problem.linear_edge:.5e}", problem.bayes_edge
        (array([0.0078125 , 0.00195312]), '1.49423e-04', 0.5)
    """

    @property
    def label_mean(self) -> float:
        """E y = alpha mu^k."""
        return self.alpha * self.mu**self.k

    @property
    def means(self) -> Float[np.ndarray, " n"]:
        """E x_i = alpha mu."""
        return np.full(self.n, self.alpha * self.mu)

    @property
    def second_moments(self) -> Float[np.ndarray, "n n"]:
        """E x x^T = (1 - alpha mu^2) I + alpha mu^2 1 1^T."""
        shared = self.alpha * self.mu**2
        return (1 - shared) * np.eye(self.n) + shared

    @property
    def label_correlations(self) -> Float[np.ndarray, " n"]:
        """E[y x_i]: alpha mu^(k-1) in S, alpha mu^(k+1) elsewhere."""
        return self._inside(self.alpha * self.mu ** (self.k - 1), self.alpha * self.mu ** (self.k + 1))

    @property
    def linear_edge(self) -> float:
        """Largest edge of <w, x>: (|b|^2 / c - d (sum b)^2 / (c (c + n d))) / 2, b = E[y x], d = alpha mu^2 = 1 - c."""
        return self._quadratic(self.label_correlations, self.alpha * self.mu**2) / 2

    @property
    def affine_edge(self) -> float:
        """Largest edge of <w, x> + b: ((E y)^2 + r^T C^-1 r) / 2 with C = Cov x, r = Cov(y, x)."""
        centred = self.label_correlations - self.label_mean * self.means
        return (self.label_mean**2 + self._quadratic(centred, self.alpha * (1 - self.alpha) * self.mu**2)) / 2

    @property
    def bayes_edge(self) -> float:
        """Largest edge of any function: 1 / 2, as x decides y."""
        return 0.5

    @property
    def bayes_error(self) -> float:
        """Smallest share of wrong labels: 0."""
        return 0.0

    @property
    def recovery_threshold(self) -> float:
        """Middle between E[y x_i] inside and outside of S, where one-step recovery cuts."""
        return self.alpha * (self.mu ** (self.k - 1) + self.mu ** (self.k + 1)) / 2

    @property
    def recovery_gap(self) -> float:
        """Distance g = alpha |mu|^(k-1) (1 - mu^2) of E[y x_i] inside S from that outside."""
        return self.alpha * abs(self.mu) ** (self.k - 1) * (1 - self.mu**2)

    def recovery_samples(self, deviations: float = 4.0) -> int:
        """Sample size (2 z / g)^2 at which each mean of y x_i is z standard deviations away from the threshold.

        Args:
            deviations: z; 4 makes errors rare for a hundred coordinates.

        Returns:
            The number of points, rounded up.

        Raises:
            InvalidInput: Where alpha or mu is 0 and no sample shows S, or on deviations that are not positive.
        """
        if self.recovery_gap == 0:
            raise InvalidInput("alpha and mu must not be 0: the gradient at 0 does not show S then", repr(self))
        if not 0 < deviations < inf:
            raise InvalidInput("deviations must be positive and finite", repr(deviations))
        return ceil((2 * deviations / self.recovery_gap) ** 2)

    def recovery_probability(self, count: int) -> float:
        """Probability that means of y x_i over a sample lie on the right side of the threshold for all i.

        By the central limit theorem, with covariance (1 - d) I + d 1 1^T of the summands, d = alpha mu^2; products of
        their means are left out of it.

        Args:
            count: Number m of points.

        Returns:
            The probability.

        Raises:
            InvalidInput: On less than one point.

        Example:
            >>> problem = BiasedParity(n=40, k=4, alpha=0.5)
            >>> print(*(round(problem.recovery_probability(m), 2) for m in (3_000, 10_000, 30_000)))
            0.05 0.71 1.0
        """
        if count < 1:
            raise InvalidInput("a sample needs 1 point or more", repr(count))
        shared = self.alpha * self.mu**2
        common, weights = roots_hermitenorm(_NODES)
        distance, own = self.recovery_gap / 2 * sqrt(count), sqrt(1 - shared)
        inside = ndtr((distance + sqrt(shared) * common) / own) ** self.k
        outside = ndtr((distance - sqrt(shared) * common) / own) ** (self.n - self.k)
        return float(weights @ (inside * outside) / np.sum(weights))

    def _quadratic(self, vector: np.ndarray, shared: float) -> float:
        """v^T ((1 - alpha mu^2) I + shared 1 1^T)^-1 v."""
        own, total = 1 - self.alpha * self.mu**2, float(np.sum(vector))
        return float(vector @ vector) / own - shared * total**2 / (own * (own + self.n * shared))

    def _draw(self, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        X = 2.0 * random.integers(0, 2, (count, self.n)) - 1.0
        skewed = random.random(count) < self.alpha
        X[skewed] = self._skewed(random, (int(skewed.sum()), self.n))
        return X, np.prod(X[:, : self.k], axis=1)

    def _exact(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        skewed = np.prod((1 + self.mu * X) / 2, axis=1)
        return self.alpha * skewed + (1 - self.alpha) / 2**self.n, np.prod(X[:, : self.k], axis=1)


@dataclass(frozen=True)
class LeakyParity(ParityProblem):
    """A parity on uniform points, and with probability alpha a fair coin where the coordinates in S have mean mu.

    The marginal law of x alone leaks S: E[x_i] = alpha mu in S, while E[y x_i] = 0 for every i, as for any product of
    less than k coordinates. A model that starts at f = 0 sees nothing in its first gradient, -E[y grad f]; one that
    starts at f = c sees S through c E[grad f].

    Attributes:
        n: Coordinates.
        k: Those that the parity multiplies, 2 to n: S = (0, ..., k - 1).
        alpha: Share of points with the coin as label, 0 to 1.
        mu: Mean of their entries in S, above -1 and below 1; the other entries are uniform.

    Raises:
        InvalidInput: On values outside of these ranges.

    References:
        After Malach, Kamath, Abbe and Srebro 2021, arXiv 2103.01210; the form of the problem is this library's.

    Example:
        >>> problem = LeakyParity(n=30, k=4, alpha=0.3)
        >>> problem.label_correlations.any(), problem.means[[0, 29]].round(3), problem.bayes_error
        (np.False_, array([0.15, 0.  ]), 0.15)
    """

    @property
    def label_mean(self) -> float:
        """E y = 0."""
        return 0.0

    @property
    def means(self) -> Float[np.ndarray, " n"]:
        """E x_i: alpha mu in S, 0 elsewhere."""
        return self._inside(self.alpha * self.mu, 0.0)

    @property
    def second_moments(self) -> Float[np.ndarray, "n n"]:
        """E x x^T: alpha mu^2 between two coordinates of S, 1 on the diagonal, 0 elsewhere."""
        moments = np.eye(self.n)
        moments[: self.k, : self.k] += self.alpha * self.mu**2 * (1 - np.eye(self.k))
        return moments

    @property
    def label_correlations(self) -> Float[np.ndarray, " n"]:
        """E[y x_i] = 0."""
        return np.zeros(self.n)

    @property
    def linear_edge(self) -> float:
        """Largest edge of <w, x>: 0."""
        return 0.0

    @property
    def affine_edge(self) -> float:
        """Largest edge of <w, x> + b: 0."""
        return 0.0

    @property
    def bayes_edge(self) -> float:
        """Largest edge of any function: sum_j C(k, j) q^2 / (2 p_j) over the number j of ones in S.

        q = (1 - alpha) 2^-k, and p_j = q + alpha ((1 + mu) / 2)^j ((1 - mu) / 2)^(k - j) is the probability of one such
        point of S.
        """
        uniform = (1 - self.alpha) / 2**self.k
        if uniform == 0:
            return 0.0
        up, down = (1 + self.mu) / 2, (1 - self.mu) / 2
        ones = range(self.k + 1)
        return sum(
            comb(self.k, j) * uniform**2 / (2 * (uniform + self.alpha * up**j * down ** (self.k - j))) for j in ones
        )

    @property
    def bayes_error(self) -> float:
        """Smallest share of wrong labels: alpha / 2, by chi_S."""
        return self.alpha / 2

    def _draw(self, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        X = 2.0 * random.integers(0, 2, (count, self.n)) - 1.0
        leaky = random.random(count) < self.alpha
        size = int(leaky.sum())
        X[leaky, : self.k] = self._skewed(random, (size, self.k))
        y = np.prod(X[:, : self.k], axis=1)
        y[leaky] = 2.0 * random.integers(0, 2, size) - 1.0
        return X, y

    def _exact(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside, uniform = X[:, : self.k], (1 - self.alpha) / 2**self.n
        skewed = np.prod((1 + self.mu * inside) / 2, axis=1) / 2 ** (self.n - self.k)
        probability = uniform + self.alpha * skewed
        mean = np.divide(uniform, probability, out=np.zeros_like(probability), where=probability > 0)
        return probability, mean * np.prod(inside, axis=1)


def recover_support(X: Float[np.ndarray, "m n"], y: Float[np.ndarray, " labels"], threshold: float) -> tuple[int, ...]:
    """Coordinates whose mean of y x_i over the sample is beyond the threshold: S from the first gradient of <w, x>.

    Args:
        X: Points, (m, n).
        y: Labels, (m,).
        threshold: `BiasedParity.recovery_threshold`; where it is negative, means below it count.

    Returns:
        The coordinates, ascending.

    Raises:
        InvalidInput: On a threshold of 0 or other than finite, or not one label for each point.

    Example:
        >>> problem = BiasedParity(n=40, k=4, alpha=0.5)
        >>> recover_support(*problem.sample(problem.recovery_samples(deviations=4)), problem.recovery_threshold)
        (0, 1, 2, 3)
    """
    if threshold == 0 or not abs(threshold) < inf:
        raise InvalidInput("the threshold must be finite and not 0", repr(threshold))
    if len(X) != len(y) or len(X) == 0:
        raise InvalidInput("there must be one label for each point", f"{len(y)} labels for {len(X)} points")
    beyond = np.sign(threshold) * (y @ X / len(X)) > abs(threshold)
    return tuple(int(i) for i in np.flatnonzero(beyond))
