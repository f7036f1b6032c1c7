"""How much tangent kernels of finite networks fluctuate: ensembles beside the formulas."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import expm1

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from widenet.architectures import Layer, fully_connected
from widenet.architectures.zoo_residual import densenet, residual
from widenet.experiments.figures import COLOURS, figure_style, new_figure
from widenet.experiments.finite_residual import (
    DenselyConnectedNetwork,
    Ensemble,
    FiniteNetwork,
    ResidualNetwork,
    VanillaNetwork,
    draw_ensemble,
)
from widenet.experiments.result_tables import Cell, Column, ResultTable
from widenet.kernels.neural import NTK
from widenet.theory.relu_fluctuations import (
    dense_ntk_variance,
    dense_second_moment,
    densenet_ntk_variance,
    densenet_second_moment,
    residual_ntk_variance,
    residual_second_moment,
)

POINT = np.array([1.0, 0.5, -0.3, 0.8])  # the law of K(x, x) / E K(x, x) is the same for every x

_RESAMPLES = 300

CASES: tuple[FiniteNetwork, ...] = (
    ResidualNetwork(150, 8, 1 / 8, 2),
    ResidualNetwork(150, 4, 1.0, 2),
    ResidualNetwork(150, 4, 0.5, 3),
    ResidualNetwork(50, 10, 1 / 10, 2),
    ResidualNetwork(50, 20, 1 / 20, 2),
    ResidualNetwork(50, 40, 1 / 40, 2),
    VanillaNetwork(100, 5),
    VanillaNetwork(200, 10),
    VanillaNetwork(100, 10),
    DenselyConnectedNetwork(40, 5, 1.0),
    DenselyConnectedNetwork(40, 20, 1.0),
    DenselyConnectedNetwork(40, 40, 1.0),
    DenselyConnectedNetwork(40, 5, 4.0),
    DenselyConnectedNetwork(40, 12, 4.0),
)


@dataclass(frozen=True)
class Estimate:
    """A number from an ensemble and its bootstrap standard error."""

    value: float
    error: float


@dataclass(frozen=True, eq=False)
class Fluctuation:
    """What an ensemble of networks of one shape says.

    Attributes:
        network: The shape.
        nets: Number of networks.
        mean: Mean of K(x, x) over its limit at infinite width.
        tangent: n (E K^2 / (E K)^2 - 1) of K(x, x).
        norm: E T^2 / (E T)^2 of the forward norm.
    """

    network: FiniteNetwork
    nets: int
    mean: Estimate
    tangent: Estimate
    norm: Estimate


def measure(network: FiniteNetwork, nets: int, seed: int) -> Fluctuation:
    """Draw an ensemble and estimate its moments.

    Args:
        network: Shape of the networks.
        nets: How many; relative second moments are heavy-tailed where depth / width is not small.
        seed: Of the weights and of the bootstrap.
    """
    ensemble = draw_ensemble(network, POINT, nets, seed)
    limit = float(NTK(architecture_of(network)).diagonal(POINT[None])[0])
    n, random = network.width, np.random.default_rng([seed, 1])
    tangent = _second_moment(ensemble.tangent, random)
    scaled = Estimate(n * (tangent.value - 1), n * tangent.error)
    return Fluctuation(network, nets, _mean(ensemble, limit), scaled, _second_moment(ensemble.norm, random))


def architecture_of(network: FiniteNetwork) -> Layer:
    """The infinitely wide architecture of a finite network."""
    match network:
        case VanillaNetwork():
            return fully_connected(network.layers, scaling="he")
        case ResidualNetwork():
            return residual(network.layers, network.matrices, network.alpha)
        case DenselyConnectedNetwork():
            return densenet(network.layers, network.alpha)
    raise TypeError(f"no architecture is known for {network!r}")


def leading_order(network: FiniteNetwork) -> float:
    """C of Var K / (E K)^2 = C / n + O(1 / n^2)."""
    match network:
        case VanillaNetwork():
            return dense_ntk_variance(network.layers)
        case ResidualNetwork():
            return residual_ntk_variance(network.layers, network.matrices, network.alpha)
        case DenselyConnectedNetwork():
            return densenet_ntk_variance(network.layers, network.alpha)
    raise TypeError(f"no leading order is known for {network!r}")


def exact_second_moment(network: FiniteNetwork) -> float:
    """E T^2 / (E T)^2 of the forward norm, exact at every width."""
    match network:
        case VanillaNetwork():
            return dense_second_moment(network.width, network.layers)
        case ResidualNetwork():
            return residual_second_moment(network.width, network.layers, network.matrices, network.alpha)
        case DenselyConnectedNetwork():
            return densenet_second_moment(network.width, network.layers, network.alpha)
    raise TypeError(f"no second moment is known for {network!r}")


def _mean(ensemble: Ensemble, limit: float) -> Estimate:
    values = ensemble.tangent / limit
    return Estimate(float(values.mean()), float(values.std() / np.sqrt(len(values))))


def _second_moment(values: Float[np.ndarray, " nets"], random: np.random.Generator) -> Estimate:
    """E v^2 / (E v)^2 with its bootstrap standard error."""
    ratios = []
    for _ in range(_RESAMPLES):
        drawn = values[random.integers(len(values), size=len(values))]
        ratios.append(np.mean(drawn**2) / np.mean(drawn) ** 2)
    return Estimate(float(np.mean(values**2) / np.mean(values) ** 2), float(np.std(ratios)))


def fluctuation_table(measured: Sequence[Fluctuation]) -> ResultTable:
    """Relative variance of K(x, x) times the width, measured and to leading order."""
    columns = (Column("network"), Column("n"), Column("L"), Column("m"), Column("alpha", ".4g"), Column("nets"))
    columns += (Column("mean / limit", ".4f"), Column("s.e. of mean", ".4f"), Column("n (E K²/(E K)² - 1)", ".3f"))
    columns += (Column("s.e.", ".3f"), Column("leading order C", ".3f"), Column("n (exp(C/n) - 1)", ".3f"))
    rows = []
    for entry in measured:
        n, leading = entry.network.width, leading_order(entry.network)
        statistics = (entry.mean.value, entry.mean.error, entry.tangent.value, entry.tangent.error)
        rows.append((*_shape(entry.network), entry.nets, *statistics, leading, n * expm1(leading / n)))
    return ResultTable(
        "Fluctuations of the tangent kernel K(x, x) of one random network",
        columns,
        tuple(rows),
        (
            "Measured: ensembles of finite networks by manual backpropagation, bootstrap standard errors. Each matrix "
            "enters by its products with one vector forward and one backward, drawn in their exact joint law.",
            "Derived here, not the paper's: the leading order C of Var K / (E K)² = C / n + O(1/n²); (11/3) L for deep "
            "vanilla networks, independent of L for residual ones with alpha = 1/L, bounded in L for densely connected "
            "ones. The exponential form is a rule of thumb that follows the ensembles better.",
            "L: hidden layers, or residual blocks of m matrices. The mean over the limit of infinite width is exactly "
            "1 at every width for residual networks of this layout.",
        ),
    )


def moment_table(measured: Sequence[Fluctuation]) -> ResultTable:
    """Second moments of the forward norm, measured and exact."""
    columns = (Column("network"), Column("n"), Column("L"), Column("m"), Column("alpha", ".4g"))
    columns += (Column("E T²/(E T)²", ".4f"), Column("s.e.", ".4f"), Column("exact", ".4f"), Column("z", ".1f"))
    rows = []
    for entry in measured:
        exact, found = exact_second_moment(entry.network), entry.norm
        z = (found.value - exact) / found.error if found.error else float("nan")
        rows.append((*_shape(entry.network), found.value, found.error, exact, z))
    return ResultTable(
        "Second moments of the forward norm",
        columns,
        tuple(rows),
        (
            "T: |q|² / n of what the readout reads; of all layers together for densely connected networks. Exact: "
            "products over layers that are derived here and hold at every width and depth. z: in standard errors.",
        ),
    )


def _shape(network: FiniteNetwork) -> tuple[Cell, ...]:
    match network:
        case ResidualNetwork():
            return "ResNet", network.width, network.layers, network.matrices, network.alpha
        case DenselyConnectedNetwork():
            return "DenseNet", network.width, network.layers, None, network.alpha
    return "vanilla", network.width, network.layers, None, None


@dataclass(frozen=True, eq=False)
class DepthCurve:
    """Fluctuations over the depth.

    Attributes:
        name: What the figure calls the networks.
        points: One entry a depth.
    """

    name: str
    points: tuple[Fluctuation, ...]


def depth_curves(width: int, depths: Sequence[int], nets: int, seed: int) -> list[DepthCurve]:
    """Fluctuations of vanilla, residual and densely connected networks of one width over the depth.

    Args:
        width: n.
        depths: Numbers of hidden layers, or of blocks of two matrices.
        nets: Networks of each shape.
        seed: Of their weights.
    """
    shapes = {
        "vanilla": [VanillaNetwork(width, depth) for depth in depths],
        "ResNet, alpha = 1": [ResidualNetwork(width, depth, 1.0) for depth in depths],
        "ResNet, alpha = 0.1": [ResidualNetwork(width, depth, 0.1) for depth in depths],
        "ResNet, alpha = 1/L": [ResidualNetwork(width, depth, 1 / depth) for depth in depths],
        "DenseNet, alpha = 1": [DenselyConnectedNetwork(width, depth) for depth in depths],
    }
    return [
        DepthCurve(name, tuple(measure(network, nets, seed + number) for number, network in enumerate(networks)))
        for name, networks in shapes.items()
    ]


def depth_table(curves: Sequence[DepthCurve]) -> ResultTable:
    """The numbers of the figure over the depth."""
    columns = (Column("networks"), Column("L"), Column("n"), Column("nets"), Column("n (E K²/(E K)² - 1)", ".3f"))
    columns += (Column("s.e.", ".3f"), Column("leading order C", ".3f"))
    rows = tuple(
        (
            curve.name,
            p.network.layers,
            p.network.width,
            p.nets,
            p.tangent.value,
            p.tangent.error,
            leading_order(p.network),
        )
        for curve in curves
        for p in curve.points
    )
    return ResultTable("Fluctuations over the depth", columns, rows)


_LOOKS = (("vermilion", "s"), ("purple", "v"), ("orange", "D"), ("blue", "o"), ("green", "^"))


def depth_figure(curves: Sequence[DepthCurve]) -> Figure:
    """Relative variance over the depth: points from ensembles, lines from the formulas."""
    with figure_style():
        figure = new_figure(6.4, 3.9)
        axes = figure.subplots()
        for curve, (colour, marker) in zip(curves, _LOOKS, strict=True):
            depths = np.array([p.network.layers for p in curve.points])
            n = curve.points[0].network.width
            values = np.array([p.tangent.value for p in curve.points])
            errors = np.array([p.tangent.error for p in curve.points])
            label = curve.name.replace("alpha", "α")
            axes.errorbar(
                depths, values, errors, color=COLOURS[colour], marker=marker, linestyle="none", capsize=2, label=label
            )
            leading = np.array([leading_order(p.network) for p in curve.points])
            axes.plot(depths, leading, color=COLOURS[colour], linewidth=1.2)
            axes.plot(depths, n * np.expm1(leading / n), color=COLOURS[colour], linewidth=1, linestyle=(0, (3, 2)))
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("depth L (hidden layers, or blocks of two matrices)")
        axes.set_ylabel("n · Var K / (E K)²")
        axes.set_title(f"Fluctuation of K(x, x) of one network, n = {curves[0].points[0].network.width}")
        axes.legend(title="points: ensembles\nsolid: leading order C\ndashed: n (exp(C/n) − 1)", title_fontsize=8)
    return figure
