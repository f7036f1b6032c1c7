"""How far the tangent kernel of a network moves while it is trained."""

import torch
from torch import Tensor, nn

from widenet._arrays import Array, read_inputs
from widenet.errors import InvalidInput
from widenet.networks.empirical import EmpiricalNTK
from widenet.networks.ensembles import Ensemble


class KernelDrift:
    """Relative change |T_t - T_0| / |T_0| of the tangent kernel T on probe points, in the Frobenius norm.

    0 for ever in the infinitely wide network; in finite ones of order 1 / width in the NTK parameterisation, after a
    given time of gradient flow. Give it to `Recorder` to have it at chosen steps. T_0 is the kernel of the module
    as it is when this is made, also where training goes on from a checkpoint afterwards.

    Args:
        module: A module, or an `Ensemble` of them, before training.
        X: Probe points, (n, ..., channels); a few dozen are enough.
        parameters: Names of parameters or submodules whose kernel it is; None for all that require gradients.

    Raises:
        InvalidInput: On points that are no points, or a kernel that is 0 at the start.

    Cost:
        One empirical NTK of the probe points a call, for every member.

    References: Huang, Du and Xu 2020, arXiv 2004.05867, record it for both ensembles of weights.

    Example:
        >>> import torch
        >>> from widenet.networks import GradientDescent, Recorder, network, train
        >>> from widenet import fully_connected
        >>> X, y = torch.eye(4), torch.tensor([1.0, -1.0, 1.0, -1.0])
        >>> for width in (64, 4096):
        ...     net = network(fully_connected(1), 4, width=width)
        ...     drift = KernelDrift(net, X)
        ...     history = train(net, X, y, GradientDescent(0.5, steps=20), Recorder(drift, every=20))
        ...     print(width, [f"{value:.2f}" for step, value in history.records])
        64 ['0.00', '0.13']
        4096 ['0.00', '0.01']
    """

    def __init__(self, module: nn.Module, X: Array, parameters: tuple[str, ...] | None = None) -> None:
        self._X, self._parameters = read_inputs(X).X.detach(), parameters
        self._start = self._kernels(module)
        self._norms = [float(K.norm()) for K in self._start]
        if min(self._norms) == 0:
            raise InvalidInput("a relative change needs a tangent kernel that is not 0 at the start", "0 on all points")

    def __call__(self, step: int, module: nn.Module) -> float | list[float]:
        """The change so far; of every member of an ensemble.

        Args:
            step: Steps done; not looked at.
            module: The module.
        """
        now = self._kernels(module)
        changes = [float((K - start).norm()) for K, start in zip(now, self._start, strict=True)]
        relative = [change / norm for change, norm in zip(changes, self._norms, strict=True)]
        return relative if isinstance(module, Ensemble) else relative[0]

    def _kernels(self, module: nn.Module) -> list[Tensor]:
        members = module.members() if isinstance(module, Ensemble) else [module]
        with torch.no_grad():
            return [EmpiricalNTK(member, self._parameters)(self._X) for member in members]
