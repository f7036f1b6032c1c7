"""The neural tangent kernel of ReLU networks on the sphere, written without the package: for tests of several files."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def relu_ntk(depth: int) -> Callable[[Tensor], Tensor]:
    """The ReLU NTK of unit rows on the angle (Geifman et al. 2020, arXiv 2007.01580); series for small angles."""

    def function(theta: Tensor) -> Tensor:
        tangent, t = torch.cos(theta), theta
        for _ in range(depth):
            fine = t**2 / 2 - t**3 / (3 * math.pi) - t**4 / 24 + t**5 / (30 * math.pi) + t**6 / 720
            fine = fine - t**7 / (840 * math.pi)
            coarse = 2 * torch.sin(t / 2) ** 2 - (torch.sin(t) - t * torch.cos(t)) / math.pi
            share = 1 - t / math.pi
            t = 2 * torch.asin(torch.sqrt((torch.where(t < 1e-2, fine, coarse) / 2).clamp(0, 1)))
            tangent = tangent * share + torch.cos(t)
        return tangent

    return function
