"""The same network by other parameters: NTK and standard parameterisation, and the L2 penalty that goes with them."""

from copy import deepcopy
from math import isfinite, sqrt
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.utils import parametrize

from widenet.errors import InvalidInput
from widenet.networks.modules import MarkedModule, ScaledModule

M = TypeVar("M", bound=nn.Module)
_ORDINARY = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)  # weight[0] holds what one unit reads


class Factor(MarkedModule):
    """A parameter that enters a torch module multiplied by a fixed factor.

    Args:
        factor: The factor, positive.
    """

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def multipliers(self) -> dict[str, float]:
        """The factor of the parameter."""
        return {"original": self.factor}

    def forward(self, original: Tensor) -> Tensor:
        """What the module reads."""
        return self.factor * original

    def right_inverse(self, value: Tensor) -> Tensor:
        """The parameter behind it."""
        return value / self.factor


def to_ntk_parameterization(module: M, weight_std: float = 1.0, bias_std: float = 1.0) -> M:
    """A copy of a network that holds omega, beta where its layers read weight_std / sqrt(fan-in) omega, bias_std beta.

    The function stays the same; gradient descent on it does not (`layerwise_weight_decay` undoes that). Modules of
    `network` keep the factors that they were built with. `Linear` and convolutions of torch take those given here,
    through `torch.nn.utils.parametrize`; their fan-in is the number of weights of one unit, window included. All
    other parameters stay as they are.

    Args:
        module: A network.
        weight_std: Standard deviation of the weights of torch's layers before the division by sqrt(fan-in).
        bias_std: Factor of their biases.

    Raises:
        InvalidInput: On a factor that is not positive, or one of 0 in the network.

    References: Lee et al. 2020, arXiv 2007.15801.

    Example:
        >>> net = nn.Linear(100, 3)
        >>> ntk = to_ntk_parameterization(net)
        >>> float((ntk.parametrizations.weight.original / net.weight).detach().mean())
        10.0
    """
    _require_positive("weight_std", weight_std)
    _require_positive("bias_std", bias_std)
    copy = deepcopy(module)
    for part in list(copy.modules()):
        if isinstance(part, ScaledModule):
            part.reparameterize("ntk")
        elif isinstance(part, _ORDINARY) and not parametrize.is_parametrized(part):
            factors = _ordinary_factors(part, weight_std, bias_std)
            for name, factor in factors.items():
                parametrize.register_parametrization(part, name, Factor(factor))
    return copy


def to_standard_parameterization(module: M) -> M:
    """A copy of a network whose parameters are the weights and biases that its layers read, without factors.

    Args:
        module: A network from `network` or `to_ntk_parameterization`; other modules are copied as they are.

    Raises:
        InvalidInput: On a factor of 0 in the network.

    References: Lee et al. 2020, arXiv 2007.15801.

    Example:
        >>> from widenet.architectures import Dense
        >>> from widenet.networks.finite_network import network
        >>> net = network(Dense(weight_std=2.0), fan_in=4)
        >>> to_standard_parameterization(net)[0].weight.equal(net[0].weight)  # 2 / sqrt(4) is 1
        True
    """
    copy = deepcopy(module)
    for part in list(copy.modules()):
        if isinstance(part, ScaledModule):
            part.reparameterize("standard")
        elif isinstance(part, _ORDINARY):
            for name in _scaled_names(part):
                parametrize.remove_parametrizations(part, name, leave_parametrized=True)
    return copy


def layerwise_weight_decay(
    module: nn.Module,
    strength: float,
    learning_rate: float | None = None,
    weight_std: float = 1.0,
    bias_std: float = 1.0,
) -> list[dict[str, list[nn.Parameter] | float]]:
    """Parameter groups for `torch.optim.SGD` that make its L2 penalty that of the NTK parameterisation.

    Gradient descent on omega and beta with rate eta and penalty strength / 2 (|omega|^2 + |beta|^2) moves the weights
    W = s omega, s = weight_std / sqrt(fan-in), just as descent on W itself does with the rate eta s^2 and the penalty
    strength / (2 s^2) |W|^2; for biases s = bias_std. With one penalty for all of W, a network in the standard
    parameterisation would be held by an amount that depends on its width.

    Args:
        module: A network from `network`, or of torch's `Linear` and convolutions. Parameters that are held in the NTK
            or mean-field parameterisation, and those of other layers, have s = 1. Frozen ones are left out.
        strength: Strength of the penalty, at least 0.
        learning_rate: eta, to set the rates as well; None leaves them to the optimizer: then the penalty alone is that
            of the NTK parameterisation.
        weight_std: As for `to_ntk_parameterization`, for torch's layers.
        bias_std: The same.

    Returns:
        Groups with "params", "weight_decay" and, with a learning rate, "lr".

    Raises:
        InvalidInput: On a strength below 0, or a rate or factor that is not positive.

    References: Lee et al. 2020, arXiv 2007.15801 (a layer-wise L2 for the standard parameterisation); the equality is
        derived here, and holds for optimizers without momentum's and Adam's own scales, step by step.

    Example:
        >>> groups = layerwise_weight_decay(nn.Linear(100, 3), strength=1e-4, learning_rate=0.5)
        >>> print(*((group["lr"], round(group["weight_decay"], 4)) for group in groups))
        (0.005, 0.01) (0.5, 0.0001)
    """
    if not (isfinite(strength) and strength >= 0):
        raise InvalidInput("the strength of a penalty must be at least 0", repr(strength))
    _require_positive("weight_std", weight_std)
    _require_positive("bias_std", bias_std)
    if learning_rate is not None:
        _require_positive("learning_rate", learning_rate)
    groups: dict[float, list[nn.Parameter]] = {}
    seen = set[int]()
    for part in module.modules():
        factors = _factors(part, weight_std, bias_std)
        for name, parameter in part.named_parameters(recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                groups.setdefault(factors.get(name, 1.0), []).append(parameter)
    rates = {s: {} if learning_rate is None else {"lr": learning_rate * s**2} for s in groups}
    return [{"params": held, "weight_decay": strength / s**2, **rates[s]} for s, held in groups.items()]


def _factors(part: nn.Module, weight_std: float, bias_std: float) -> dict[str, float]:
    """What the parameters of a module are, over those of its NTK parameterisation."""
    if isinstance(part, ScaledModule):
        if part.parameterization != "standard":
            return {}
        if 0 in (part.factors[name] for name in part.factors if getattr(part, name) is not None):
            raise InvalidInput("layer-wise weight decay needs factors that are not 0", repr(part))
        return part.factors
    return _ordinary_factors(part, weight_std, bias_std) if isinstance(part, _ORDINARY) else {}


def _ordinary_factors(part: nn.Module, weight_std: float, bias_std: float) -> dict[str, float]:
    own = dict(part.named_parameters(recurse=False))
    weight = {"weight": weight_std / sqrt(own["weight"][0].numel())} if "weight" in own else {}
    return weight | ({"bias": bias_std} if "bias" in own else {})


def _scaled_names(part: nn.Module) -> list[str]:
    if not parametrize.is_parametrized(part):
        return []
    held = part.get_submodule("parametrizations")
    return [name for name, parts in held.named_children() if isinstance(next(iter(parts.children())), Factor)]


def _require_positive(name: str, number: float) -> None:
    if not (isfinite(number) and number > 0):
        raise InvalidInput(f"{name} must be positive and finite", repr(number))
