"""Networks of one wide hidden layer of ReLU units and a fixed readout, dense or factorised, and their exact kernels."""

from math import sqrt

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from widenet.architectures import Dense, FactorizedDense
from widenet.errors import InvalidInput
from widenet.networks.build import Plan, Shape, build
from widenet.networks.factorized import FactorizedLinear
from widenet.networks.factorized_readout import matrix_readout, structured_readout
from widenet.networks.modules import DenseModule


class ShallowNetwork(nn.Module):
    """f(x) = m^(-1/2) A relu(W x), the rows of A being +-1 and fixed, W dense or factorised.

    Its tangent kernel at infinite width is that of `layer >> ReLU() >> Dense(trainable=False)`. With a factorised layer
    of finite rank it stays random: only the rank makes it concentrate, the width does not.

    Args:
        fan_in: Number of channels d of the inputs.
        width: Number m of hidden units.
        layer: The hidden layer, without biases. `fan_in_scaling="none"` gives the kernel x . z k0(angle) / 2 for Dense.
        outputs: Number of rows of A.
        seed: Of all random numbers.
        dtype: Precision; torch's default if None.

    Attributes:
        hidden: The module of the layer.
        readout: A, (outputs, m).

    Raises:
        InvalidInput: If the layer has biases or is not trained.

    Example:
        >>> network = ShallowNetwork(5, 2048, FactorizedDense(32, frozen="hadamard", fan_in_scaling="none"), seed=1)
        >>> network(torch.ones(3, 5)).shape
        torch.Size([3, 1])
    """

    readout: Tensor

    def __init__(
        self,
        fan_in: int,
        width: int,
        layer: Dense | FactorizedDense,
        outputs: int = 1,
        seed: int = 0,
        dtype: torch.dtype | None = None,
    ) -> None:
        trained = layer.trainable if isinstance(layer, Dense) else layer.train != "none"
        if layer.bias_std > 0 or not trained:
            raise InvalidInput("the hidden layer must be trained and have no biases", repr(layer))
        if fan_in < 1 or width < 1 or outputs < 1:
            raise InvalidInput("fan_in, width and outputs must be 1 or more", f"{fan_in}, {width} and {outputs}")
        super().__init__()
        dtype = torch.get_default_dtype() if dtype is None else dtype
        generator = Generator().manual_seed(seed)
        plan = Plan(width, "gaussian", generator, dtype, width)
        self.layer, self.width = layer, width
        self.hidden = build(layer, Shape((), fan_in, inputs=True), plan)[0]
        signs = torch.randint(0, 2, (outputs, width), generator=generator)
        self.register_buffer("readout", (2 * signs - 1).to(dtype))

    def features(self, X: Tensor) -> Tensor:
        """What stays constant in training: the projected inputs where the inner factor is frozen, else the inputs."""
        if isinstance(self.hidden, FactorizedLinear) and self.hidden.layer.train == "outer":
            return self.hidden.projected(X).detach()
        return X

    def outputs(self, features: Tensor) -> Tensor:
        """The outputs (n, outputs) of such features."""
        hidden, scale = self.hidden, 1 / sqrt(self.width)
        if isinstance(hidden, DenseModule):
            return scale * matrix_readout(features, hidden.weight, self.readout, hidden.factor("weight"))
        return scale * self._readout(self._inner(features))

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (n, outputs) of inputs (n, d)."""
        return self.outputs(self.features(x))

    def _inner(self, features: Tensor) -> Tensor:
        return features if self._factorized.layer.train == "outer" else self._factorized.projected(features)

    def _readout(self, z: Tensor) -> Tensor:
        hidden = self._factorized
        if hidden.outer is None and hidden.structured is not None:
            return structured_readout(z, hidden.structured, self.readout, hidden.factor("outer"))
        if hidden.outer is None:
            raise AssertionError("an outer factor that is neither stored nor structured")
        return matrix_readout(z, hidden.outer, self.readout, hidden.factor("outer"))

    @property
    def _factorized(self) -> FactorizedLinear:
        if not isinstance(self.hidden, FactorizedLinear):
            raise AssertionError("a dense hidden layer has no factors")
        return self.hidden

    @torch.no_grad()
    def make_antisymmetric(self) -> None:
        """Let the second half of the units repeat the first with opposite readout: f = 0 at the start, in place.

        Raises:
            InvalidInput: If the inner factor is trained. Both halves would then read the same V through the same rows
                of U, so that f = 0 for every V, the kernel is 0 and nothing can be learnt. Or if the width is odd.
        """
        if isinstance(self.layer, FactorizedDense) and self.layer.train != "outer":
            raise InvalidInput(
                "an antisymmetric start needs an inner factor that is not trained",
                f"train={self.layer.train!r}, with which the output and the kernel would stay 0",
                "Subtract the outputs at the start from the targets instead",
            )
        if self.width % 2:
            raise InvalidInput("an antisymmetric start needs an even width", str(self.width))
        half = self.width // 2
        rows = self.hidden.weight if isinstance(self.hidden, DenseModule) else self._factorized.outer
        if rows is None:
            raise AssertionError("a trained outer factor is stored")
        rows[half:] = rows[:half]
        self.readout[:, half:] = -self.readout[:, :half]

    def tangent_kernel(self, X: Float[Tensor, "n d"], output: int = 0) -> Float[Tensor, "n n"]:
        """The exact tangent kernel of this network for one of its outputs, without a Jacobian.

        With C = m^(-1/2) a 1[W x > 0] (n x m), inner factor V, outer factor S and t what S reads:
        dense X X^T o C C^T; inner X X^T o G G^T with G = C S; outer T T^T o C C^T; both the sum of the two.

        Args:
            X: Points.
            output: Which row of A.

        Cost:
            Inner, structured: m log2(rank) a point and products of n x rank; else products of n x m.
        """
        a = self.readout[output : output + 1]
        if isinstance(self.hidden, DenseModule):
            return self.hidden.factor("weight") ** 2 * (X @ X.T) * self._gate_gram(X, a)
        hidden = self._factorized
        kernel = X.new_zeros(len(X), len(X))
        z = hidden.projected(X).detach()
        if hidden.layer.train in ("inner", "both"):
            read = z.clone().requires_grad_()
            with torch.enable_grad():
                total = self._readout(read)[:, output].sum() / sqrt(self.width)
            (G,) = torch.autograd.grad(total, read)
            kernel += hidden.factor("inner") ** 2 * (X @ X.T) * (G @ G.T)
        if hidden.layer.train in ("outer", "both"):
            kernel += hidden.factor("outer") ** 2 * (z @ z.T) * self._gate_gram(X, a)
        return kernel

    @torch.no_grad()
    def _gate_gram(self, X: Tensor, a: Tensor) -> Tensor:
        C = (self.hidden(X) > 0).to(X.dtype) * (a / sqrt(self.width))
        return C @ C.T
