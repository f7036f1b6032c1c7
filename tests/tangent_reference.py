"""Tangent kernels by the definition: one reverse pass for every point and output, and modules to try them on."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from widenet.architectures import Dense, Elementwise, FactorizedDense, GlobalAveragePool, Recurrent
from widenet.networks import network


def gradients(module: nn.Module, X: Tensor) -> Tensor:
    """Gradient of every output at every point by all trainable parameters, (n, outputs, parameters)."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    rows = []
    for x in X:
        for output in module(x[None]).reshape(-1):
            found = torch.autograd.grad(
                output, parameters, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            rows.append(torch.cat([part.reshape(-1) for part in found]))
    return torch.stack(rows).reshape(len(X), -1, len(rows[0])).detach()


def full_kernel(module: nn.Module, X: Tensor, Y: Tensor) -> Tensor:
    """grad f_a(x) . grad f_b(y), (n, m, outputs, outputs)."""
    return torch.einsum("iap,jbp->ijab", gradients(module, X), gradients(module, Y))


class Residual(nn.Module):
    """A grouped, circular convolution with in-place activation, and what it reads added to what it makes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=2, padding_mode="circular")
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.conv(self.norm(x))) + x


class Shared(nn.Module):
    """Weights used twice, tied to another layer with biases of its own, and applied past a layer's forward."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 2)
        self.second.weight = self.first.weight
        self.scale, self.unused = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(3))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(torch.tanh(self.first(x))))
        h = torch.tanh(self.second(h)) * self.scale
        return self.last(h) + F.linear(h, self.last.weight)


class Attention(nn.Module):
    """One head of attention over positions, and layer normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(x + self.attention(x, x, x, need_weights=False)[0])).mean(1)


class PositionsFirst(nn.Module):
    """A layer that sees positions before points."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.head = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.layer(x.transpose(0, 1))).mean(0))


def _conv() -> nn.Module:
    first = [nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.ReLU(inplace=True), Residual(4), nn.MaxPool2d(2)]
    return nn.Sequential(*first, nn.Conv2d(4, 6, (1, 2), padding="same"), nn.GroupNorm(2, 6), nn.GELU(), nn.Flatten(),
                         nn.Linear(24, 3))  # fmt: skip


def _factorized() -> nn.Module:
    factors = [FactorizedDense(3, "both", bias_std=0.3), FactorizedDense(2, "inner", frozen="hadamard", bias_std=0.2)]
    first, second = (layer >> Elementwise(torch.tanh) for layer in factors)
    third = FactorizedDense(2, "outer") >> Elementwise(torch.tanh) >> FactorizedDense(2, "outer", frozen="hadamard")
    return network(first >> second >> third, 4, width=5, outputs=2)


def _recurrent() -> nn.Module:
    layer = Recurrent(Elementwise(torch.tanh), bias_std=0.2, initial_std=0.5, initial_state="shared")
    return network(layer >> layer >> GlobalAveragePool() >> Dense(), (-1, 2), width=4, outputs=2)


# Name: how to make it, and the shape of a point.
MODULES = {
    "dense": (lambda: nn.Sequential(nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 6), nn.Tanh(), nn.Linear(6, 3)), (4,)),
    "convolutions": (_conv, (2, 7, 8)),
    "lines": (lambda: nn.Sequential(nn.Conv1d(2, 3, 3, dilation=2), nn.Tanh(), nn.Flatten(), nn.Linear(12, 2)), (2, 8)),
    "volumes": (lambda: nn.Sequential(nn.Conv3d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(16, 1)), (1, 3, 3, 3)),
    "transposed": (lambda: nn.Sequential(nn.ConvTranspose1d(2, 3, 2), nn.PReLU(), nn.Flatten()), (2, 3)),
    "positions": (lambda: nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2)), (4, 3)),
    "shared": (Shared, (5,)),
    "attention": (Attention, (3, 4)),
    "positions first": (PositionsFirst, (2, 3)),
    "factorized": (_factorized, (4,)),
    "recurrent": (_recurrent, (3, 2)),
}


def module_and_points(name: str, rows: tuple[int, int] = (6, 4)) -> tuple[nn.Module, Tensor, Tensor]:
    """A module with random weights in double precision and evaluation mode, and two sets of points."""
    generator = torch.Generator().manual_seed(3)
    make, shape = MODULES[name]
    module = make().double().eval()
    with torch.no_grad():
        for value in (*module.parameters(), *(b for b in module.buffers() if b.is_floating_point())):
            value.copy_(0.5 * torch.randn(value.shape, generator=generator, dtype=torch.float64).abs() + 0.1)
            value.mul_(torch.randint(0, 2, value.shape, generator=generator) * 2 - 1 if value.ndim > 1 else 1)
    X, Y = (torch.randn(n, *shape, generator=generator, dtype=torch.float64) for n in rows)
    return module, X, Y
