"""The kernel of a network that reads sequences in both directions."""

from dataclasses import dataclass

from torch import Tensor

from widenet.errors import InvalidInput
from widenet.kernels.base import Derived, Kernel
from widenet.kernels.sequences import reversed_sequences


@dataclass(frozen=True)
class Bidirectional(Derived):
    """K(x, y) + K(reversed x, reversed y): two networks with weights of their own, one for each direction, added.

    `Bidirectional(Normalized(kernel))` where the kernel itself would overflow.

    Args:
        kernel: K, a kernel of sequences.

    Raises:
        InvalidInput: If it is no kernel of sequences.

    Cost:
        Twice that of K.

    References: Alemohammad et al. 2020, arXiv 2012.04859 (its public code).

    Example:
        >>> import numpy as np
        >>> from widenet.architectures import Dense
        >>> from widenet.architectures.recurrent import Recurrent
        >>> from widenet.kernels.neural import NNGP
        >>> K = Bidirectional(NNGP(Recurrent() >> Dense(), input_shape=(-1, 1)))
        >>> K([np.array([1.0, 0.0]), np.array([0.0, 1.0])])
        array([[0.75      , 0.22507908],
               [0.22507908, 0.75      ]])
    """

    kernel: Kernel

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel) or not self.kernel._packs:
            raise InvalidInput(
                "Bidirectional takes a kernel of sequences", repr(self.kernel), "Use NTK(Recurrent(...) >> Dense())"
            )

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        back = reversed_sequences(X)
        other = back if same else reversed_sequences(Y)
        return self.kernel._cross(X, Y, same=same) + self.kernel._cross(back, other, same=same)

    def _diagonal(self, X: Tensor) -> Tensor:
        return self.kernel._diagonal(X) + self.kernel._diagonal(reversed_sequences(X))
