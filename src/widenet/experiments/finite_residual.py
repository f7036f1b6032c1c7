"""Finite ReLU networks at random weights: their tangent kernels, from one forward and one backward pass.

The gradient of f(x) in a matrix W that is applied as scale * W q is scale * delta q^T, delta = df / d(scale * W q). So
K(x, y) = sum over matrices of scale^2 (delta_x . delta_y)(q_x . q_y), and no gradient is ever stored.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, Protocol

import numpy as np
from jaxtyping import Float

from widenet.errors import InvalidInput

Batch = Float[np.ndarray, "nets points _"]

_NORMALS = 2**18  # random numbers of one piece of an ensemble: it stays in cache


class Matrix(Protocol):
    """A matrix W of independent N(0, 1) entries in each of several networks, used once forward and once backward."""

    def forward(self, q: Batch) -> Batch:
        """W q of every network and point."""
        ...

    def backward(self, delta: Batch) -> Batch:
        """W^T delta of every network and point."""
        ...


Draw = Callable[[int, int], Matrix]  # outputs, inputs -> a new matrix


@dataclass(frozen=True, eq=False)
class StoredMatrix:
    """A matrix that is held.

    Attributes:
        weights: The entries, (nets, outputs, inputs).
    """

    weights: Float[np.ndarray, "nets outputs inputs"]

    def forward(self, q: Batch) -> Batch:
        """W q of every network and point."""
        return q @ self.weights.transpose(0, 2, 1)

    def backward(self, delta: Batch) -> Batch:
        """W^T delta of every network and point."""
        return delta @ self.weights


class SampledMatrix:
    """A matrix of which only W q and W^T delta are drawn, in their exact joint law, for one point.

    W q = |q| g. Given h = W q, W = h q^T / |q|^2 + V (1 - q q^T / |q|^2), with V a fresh copy of W that knows nothing
    of h, nor hence of delta. So W^T delta = q (h . delta - q . u) / |q|^2 + u, where u = V^T delta = |delta| g'. Here
    g and g' are independent standard normal vectors: O(width) random numbers a matrix instead of O(width^2).

    Args:
        random: Source of the random numbers.
        outputs: Rows of the matrix.
    """

    def __init__(self, random: np.random.Generator, outputs: int) -> None:
        self._random, self._outputs = random, outputs

    def forward(self, q: Batch) -> Batch:
        """A draw of W q; q must hold one point a network."""
        self._q = q
        self._square = np.sum(q * q, axis=2, keepdims=True)
        self._h = np.sqrt(self._square) * self._random.standard_normal((*q.shape[:2], self._outputs))
        return self._h

    def backward(self, delta: Batch) -> Batch:
        """A draw of W^T delta given W q."""
        q, length = self._q, np.sqrt(np.sum(delta * delta, axis=2, keepdims=True))
        u = length * self._random.standard_normal(q.shape)
        along = np.sum(self._h * delta, axis=2, keepdims=True) - np.sum(q * u, axis=2, keepdims=True)
        # A network whose units are all silent has q = 0, and then W^T delta = u.
        return u + q * (along / np.where(self._square > 0, self._square, 1.0))


@dataclass(frozen=True, eq=False)
class Factor:
    """One matrix's part of the tangent kernel: scale^2 (delta_x . delta_y)(q_x . q_y).

    Attributes:
        delta: Derivatives of the output in the matrix's outputs, (nets, points, outputs).
        q: The matrix's inputs, (nets, points, inputs).
        scale: Factor of the matrix.
    """

    delta: Batch
    q: Batch
    scale: float

    def diagonal(self) -> Float[np.ndarray, "nets points"]:
        """The part of K(x, x)."""
        return self.scale**2 * np.sum(self.delta**2, axis=2) * np.sum(self.q**2, axis=2)

    def gram(self) -> Float[np.ndarray, "nets points points"]:
        """The part of K(x, y) of all pairs of points."""
        inner = self.q @ self.q.transpose(0, 2, 1)
        return self.scale**2 * (self.delta @ self.delta.transpose(0, 2, 1)) * inner


@dataclass(frozen=True)
class FiniteNetwork:
    """A ReLU network of some width without biases, all weights N(0, 1), in the NTK parameterisation.

    Attributes:
        width: Units of every hidden layer, n.
        layers: Hidden layers, or residual blocks.
    """

    width: int
    layers: int
    read_last: ClassVar[int] = 1  # how many matrices, from the readout back, read the units of the forward norm

    def __post_init__(self) -> None:
        if self.width < 1 or self.layers < 1:
            raise InvalidInput("a network needs at least one layer and one unit", repr(self))

    def factors(self, draw: Draw, X: Batch) -> Iterator[Factor]:
        """Every matrix's part of the tangent kernel, from the readout back to the input layer.

        Args:
            draw: Makes the matrices.
            X: Points, the same or others for every network.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class VanillaNetwork(FiniteNetwork):
    """y^1 = W x / sqrt d, y^{l+1} = W sqrt2 phi(y^l) / sqrt n, f = w . sqrt2 phi(y^L) / sqrt n."""

    def factors(self, draw: Draw, X: Batch) -> Iterator[Factor]:
        """See `FiniteNetwork.factors`."""
        steps, q = [], X
        for _ in range(self.layers):
            step = _Linear(draw, q, self.width, 1 / sqrt(q.shape[2]))
            steps.append(step)
            q = _rectified(step.outputs)
        readout = _Linear(draw, q, 1, 1 / sqrt(self.width))
        delta = np.ones_like(readout.outputs)
        yield readout.factor(delta)
        back = readout.backward(delta)
        for step in reversed(steps):
            delta = _through_relu(back, step.outputs)
            yield step.factor(delta)
            back = step.backward(delta)


@dataclass(frozen=True)
class ResidualNetwork(FiniteNetwork):
    """y^0 = W x / sqrt d, y^l = y^{l-1} + sqrt(alpha) a^m, f = w . y^L / sqrt n.

    The branch is a^1 = W y^{l-1} / sqrt n, a^{h+1} = W sqrt2 phi(a^h) / sqrt n: `matrices` m of them, linear first.

    Attributes:
        alpha: Squared scale of the branches.
        matrices: Matrices of a branch, m.
    """

    alpha: float
    matrices: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.matrices < 1 or not self.alpha >= 0:
            raise InvalidInput("a branch needs at least one matrix and a scale alpha that is not negative", repr(self))

    def factors(self, draw: Draw, X: Batch) -> Iterator[Factor]:
        """See `FiniteNetwork.factors`."""
        first = _Linear(draw, X, self.width, 1 / sqrt(X.shape[2]))
        y, blocks = first.outputs, []
        for _ in range(self.layers):
            branch, q = [], y
            for _ in range(self.matrices):
                branch.append(_Linear(draw, q, self.width, 1 / sqrt(self.width)))
                q = _rectified(branch[-1].outputs)
            y = y + sqrt(self.alpha) * branch[-1].outputs
            blocks.append(branch)
        readout = _Linear(draw, y, 1, 1 / sqrt(self.width))
        delta = np.ones_like(readout.outputs)
        yield readout.factor(delta)
        skip = readout.backward(delta)
        for branch in reversed(blocks):
            delta = sqrt(self.alpha) * skip
            for step, before in zip(reversed(branch), [*reversed(branch[:-1]), None], strict=True):
                yield step.factor(delta)
                back = step.backward(delta)
                if before is not None:
                    delta = _through_relu(back, before.outputs)
            skip = skip + back
        yield first.factor(skip)


@dataclass(frozen=True)
class DenselyConnectedNetwork(FiniteNetwork):
    """y^0 = W x / sqrt d, q^h = sqrt2 phi(y^h), y^l = sqrt(alpha / (n l)) sum_{h<l} W^{l,h} q^h, f = w . q^L / sqrt n.

    Attributes:
        alpha: Squared scale of the layers.
    """

    alpha: float = 1.0
    read_last: ClassVar[int] = 2

    def factors(self, draw: Draw, X: Batch) -> Iterator[Factor]:
        """See `FiniteNetwork.factors`."""
        n = self.width
        first = _Linear(draw, X, n, 1 / sqrt(X.shape[2]))
        steps, q = [], [_rectified(first.outputs)]
        for layer in range(1, self.layers + 1):
            steps.append(_Linear(draw, np.concatenate(q, axis=2), n, sqrt(self.alpha / (n * layer))))
            q.append(_rectified(steps[-1].outputs))
        readout = _Linear(draw, q[-1], 1, 1 / sqrt(n))
        delta = np.ones_like(readout.outputs)
        yield readout.factor(delta)
        back = [np.zeros_like(part) for part in q]
        back[-1] += readout.backward(delta)
        for layer in range(self.layers, 0, -1):
            step = steps[layer - 1]
            delta = _through_relu(back[layer], step.outputs)
            yield step.factor(delta)
            for below, more in enumerate(np.split(step.backward(delta), layer, axis=2)):
                back[below] += more
        yield first.factor(_through_relu(back[0], first.outputs))


class _Linear:
    """scale * W q and what the backward pass needs of it."""

    def __init__(self, draw: Draw, q: Batch, outputs: int, scale: float) -> None:
        self._matrix, self._q, self._scale = draw(outputs, q.shape[2]), q, scale
        self.outputs = scale * self._matrix.forward(q)

    def factor(self, delta: Batch) -> Factor:
        return Factor(delta, self._q, self._scale)

    def backward(self, delta: Batch) -> Batch:
        return self._scale * self._matrix.backward(delta)


def _rectified(y: Batch) -> Batch:
    return sqrt(2.0) * np.maximum(y, 0.0)


def _through_relu(back: Batch, y: Batch) -> Batch:
    return sqrt(2.0) * back * (y > 0)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """One point's values in many networks with weights of their own.

    Attributes:
        tangent: K(x, x), (nets,).
        norm: |q|^2 / n of what the readout reads; for densely connected networks the sum of this over all layers.
    """

    tangent: Float[np.ndarray, " nets"]
    norm: Float[np.ndarray, " nets"]


def draw_ensemble(network: FiniteNetwork, x: Float[np.ndarray, " d"], nets: int, seed: int) -> Ensemble:
    """K(x, x) and forward norms of many networks.

    Args:
        network: Their shape.
        x: A point, (d,).
        nets: How many networks.
        seed: Of their weights.

    Returns:
        One value a network of each.

    Cost:
        O(layers * width) an ordinary network (`SampledMatrix`), O(layers^2 * width) a densely connected one; about
        20 ns a random number.
    """
    if nets < 1:
        raise InvalidInput("an ensemble needs at least one network", repr(nets))
    random = np.random.default_rng(seed)
    piece = max(1, _NORMALS // (network.width * network.layers))
    tangents, norms = [], []
    for start in range(0, nets, piece):
        X = np.broadcast_to(x.astype(np.float64), (min(piece, nets - start), 1, len(x)))
        parts = list(network.factors(lambda outputs, _: SampledMatrix(random, outputs), X))
        tangents.append(np.sum([part.diagonal()[:, 0] for part in parts], axis=0))
        squares = [np.sum(part.q**2, axis=(1, 2)) for part in parts[: network.read_last]]
        norms.append(np.sum(squares, axis=0) / network.width)
    return Ensemble(np.concatenate(tangents), np.concatenate(norms))


def tangent_gram(network: FiniteNetwork, X: Float[np.ndarray, "n d"], seed: int) -> Float[np.ndarray, "n n"]:
    """K of all pairs of points, of one network: kernel regression with it is regression on its gradients.

    Args:
        network: Its shape.
        X: Points, (n, d).
        seed: Of its weights.

    Returns:
        The Gram matrix, (n, n), of rank at most the number of weights.

    Cost:
        O(matrices * (n width^2 + n^2 width)).
    """
    random = np.random.default_rng(seed)

    def draw(outputs: int, inputs: int) -> StoredMatrix:
        return StoredMatrix(random.standard_normal((1, outputs, inputs)))

    K = np.zeros((len(X), len(X)))
    for part in network.factors(draw, X[None].astype(np.float64)):
        K += part.gram()[0]
    return K
