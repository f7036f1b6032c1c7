"""Surrogate and ReLU networks trained side by side from one start, and their conversion on new inputs."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from widenet.networks.relu_stack import relu_stack
from widenet.networks.surrogate import SurrogateNetwork
from widenet.networks.surrogate_conversion import Certificate
from widenet.networks.surrogate_training import SurrogateRun, SurrogateTraining


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        depth: Trained hidden layers L.
        width: Units m of every layer.
        points: Random unit vectors, with Gaussian targets.
        dimension: Their channels.
    """

    depth: int
    width: int
    points: int = 20
    dimension: int = 5


@dataclass(frozen=True, eq=False)
class SideBySide:
    """A surrogate network and the ReLU network of the same start, data and step size.

    Attributes:
        surrogate: Run of the surrogate network.
        relu: Run of the ReLU network.
        certificate: Of the conversion of the trained surrogate network.
    """

    surrogate: SurrogateRun
    relu: SurrogateRun
    certificate: Certificate


@dataclass(frozen=True, eq=False)
class NewInputs:
    """A converted network on inputs outside of its reference set.

    Attributes:
        floor: Smallest C of a unit; None for C of the training points alone.
        largest_reference: Largest difference on the reference set.
        mean: Mean difference |F - converted| on new inputs.
        largest: Largest one.
        violating: Share of new inputs on which a unit breaks its condition.
        size: Mean |F| on new inputs.
    """

    floor: float | None
    largest_reference: float
    mean: float
    largest: float
    violating: float
    size: float


def unit_data(points: int, dimension: int, seed: int) -> tuple[Float[Tensor, "n d"], Float[Tensor, " n"]]:
    """Random unit vectors with Gaussian targets, double precision.

    Args:
        points: Their number.
        dimension: Their channels.
        seed: Of both.
    """
    generator = torch.Generator().manual_seed(10_000 + seed)
    X = torch.randn(points, dimension, dtype=torch.float64, generator=generator)
    y = torch.randn(points, dtype=torch.float64, generator=generator)
    return X / torch.linalg.vector_norm(X, dim=1, keepdim=True), y


def start_network(case: Case, seed: int, output_scale: float = 1.0) -> SurrogateNetwork:
    """A surrogate network at its start.

    Args:
        case: Its sizes.
        seed: Of the weights.
        output_scale: Standard deviation of the output's weights.
    """
    widths = (case.dimension, *(case.width for _ in range(case.depth + 1)), 1)
    return SurrogateNetwork(relu_stack(widths, output_scale=output_scale, seed=seed))


def train_quietly(training: SurrogateTraining, network: SurrogateNetwork, X: Tensor, y: Tensor) -> SurrogateRun:
    """Train without the warning that weights moved far: the tables show how far."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return training.run(network, X, y)


def side_by_side(case: Case, ratio: float, most_steps: int, seed: int) -> SideBySide:
    """Train both with steps of 1 / largest eigenvalue at the start, which they have in common, never shortened.

    Args:
        case: Sizes.
        ratio: Loss to stop at, over that at the start.
        most_steps: Steps to give up after.
        seed: Of data and weights.
    """
    X, y = unit_data(case.points, case.dimension, seed)
    training = SurrogateTraining(ratio, most_steps=most_steps, monitor_every=most_steps, fall_back=False)
    network = start_network(case, seed)
    surrogate = train_quietly(training, network, X, y)
    certificate = network.to_relu(X).certificate
    return SideBySide(surrogate, training.run_relu(start_network(case, seed), X, y), certificate)


def on_new_inputs(case: Case, floors: Sequence[float | None], fresh: int, ratio: float, seed: int) -> list[NewInputs]:
    """Train a surrogate network, convert it with several floors of C, and compare on new inputs.

    Args:
        case: Sizes.
        floors: Smallest C; None for the mode "train-exact".
        fresh: Number of new inputs.
        ratio: Of the losses, for training.
        seed: Of data and weights.
    """
    X, y = unit_data(case.points, case.dimension, seed)
    others, _ = unit_data(fresh, case.dimension, seed + 1)
    network = start_network(case, seed)
    train_quietly(SurrogateTraining(ratio), network, X, y)
    expected, found = network(others).detach(), []
    for floor in floors:
        mode = "train-exact" if floor is None else "everywhere"
        conversion = network.to_relu(X, mode=mode, floor=floor, validation=others)
        differences = (conversion.network(others).detach() - expected).abs()
        certificate = conversion.certificate
        found.append(
            NewInputs(
                floor=floor,
                largest_reference=certificate.largest_difference,
                mean=float(differences.mean()),
                largest=float(differences.max()),
                violating=certificate.violating_inputs or 0.0,
                size=float(expected.abs().mean()),
            )
        )
    return found


def kernel_at(case: Case, cosines: Sequence[float], nets: int, seed: int) -> Float[np.ndarray, "nets cosines"]:
    """K / m of finite networks between unit vectors in the plane at these cosines.

    Args:
        case: Depth and width.
        cosines: Between the two points.
        nets: Number of networks.
        seed: Of the first one.
    """
    c = torch.tensor([1.0, *cosines], dtype=torch.float64)
    X, found = torch.stack([c, (1 - c * c).clamp_min(0).sqrt()], 1), []
    plane = Case(case.depth, case.width, dimension=2)
    with torch.no_grad():
        for number in range(nets):
            network = start_network(plane, seed + number)
            stack, weights = network.on(X), list(network.value)
            K = stack.tangent_kernel(weights, stack.forward(weights)) / case.width
            found.append(K[0, 1:].numpy())
    return np.array(found)
