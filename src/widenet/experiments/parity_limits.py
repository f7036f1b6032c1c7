"""What linear functions, fixed features and kernels can do for parities: closed forms and exact enumeration."""

from collections.abc import Sequence
from itertools import product
from math import sqrt

import numpy as np

from widenet.architectures import fully_connected
from widenet.experiments.result_tables import Column, ResultTable
from widenet.kernels.base import Kernel
from widenet.kernels.neural import NTK
from widenet.kernels.stationary import Laplace
from widenet.kernels.wrappers import Normalized
from widenet.networks.empirical import EmpiricalNTK
from widenet.networks.tangent_certificate import tangent_certificate
from widenet.networks.twin import Twin
from widenet.networks.two_layer import TwoLayerReLU
from widenet.theory.parity import BiasedParity
from widenet.theory.parity_bounds import dimension_bound, embedding_norms, norm_bound, parity_edges
from widenet.theory.parity_problem import ParityProblem, cube

_ENUMERATED = 12  # coordinates
_ROUNDING = 1e-12


def edge_table(problems: Sequence[ParityProblem]) -> ResultTable:
    """Closed forms of problems, with enumeration where the cube is small."""
    columns = (Column("problem"), Column("E[y x_i], i in S", ".8g"), Column("i not in S", ".8g"))
    columns += (Column("linear edge", ".12g"), Column("with intercept", ".12g"), Column("Bayes edge", ".6f"))
    columns += (Column("enumerated: linear", ".12g"), Column("with intercept", ".12g"), Column("Bayes", ".6f"))
    rows = []
    for problem in problems:
        inside, outside = (float(problem.label_correlations[i]) for i in (0, -1))
        exact: tuple[float | None, ...] = (None, None, None)
        if problem.n <= _ENUMERATED:
            law = problem.enumerate()
            with_one = np.column_stack([law.X, np.ones(len(law.X))])
            exact = law.best_edge(law.X), law.best_edge(with_one), law.edge(law.label_mean)
        closed = problem.linear_edge, problem.affine_edge, problem.bayes_edge
        rows.append((repr(problem), inside, outside, *closed, *exact))
    note = "Edge: what the best such predictor gains over predicting 0. The last columns: by all points, one by one."
    return ResultTable("Edges in closed form", columns, tuple(rows), (note,))


def certificate_table(problem: BiasedParity, half_width: int, seeds: Sequence[int]) -> ResultTable:
    """The certified edge of the tangent kernel of twin networks, and its best edge, by enumeration."""
    law = problem.enumerate()
    columns = (Column("seed"), Column("|grad L|", ".5f"), Column("C²", ".4f"), Column("bound |grad L|²/(2 C²)", ".5e"))
    columns += (Column("edge of h", ".5e"), Column("best TK edge", ".5f"))
    rows = []
    for seed in seeds:
        half = TwoLayerReLU(problem.n, half_width, seed=seed).double()
        found = tangent_certificate(Twin(half), law.X, law.label_mean, law.probability)
        values, vectors = np.linalg.eigh(EmpiricalNTK(half)(law.X))
        kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
        best = law.best_edge(vectors[:, kept])
        rows.append((seed, found.gradient_norm, found.largest_norm, found.bound, found.edge, best))
    notes = (
        f"{problem!r}, all {2**problem.n} points with their probabilities; two-layer ReLU networks, twins of "
        f"{half_width} units. h = -<grad f, grad L> / C² is one function of the tangent kernel at the start.",
        "Best TK edge: of all functions of the tangent kernel, of any norm.",
    )
    return ResultTable("The certificate of the tangent kernel", columns, tuple(rows), notes)


def dimension_table(n: int, k: int, sizes: Sequence[int], seed: int) -> ResultTable:
    """Mean best edge of features over all parities, against the dimension bound."""
    random, X = np.random.default_rng(seed), cube(n)
    columns = (Column("features"), Column("p"), Column("mean edge", ".5f"), Column("bound", ".5f"))
    columns += (Column("largest edge", ".5f"),)
    rows = []
    for p in sizes:
        weights, biases = random.standard_normal((n, p)), random.standard_normal(p)
        units = max(p // (n + 2), 1)
        families = {
            "tanh(w.x + b), normal w and b": np.tanh(X @ weights + biases),
            "cos(w.x + b)": np.cos(X @ weights + biases),
            "gradients of a two-layer ReLU network": _gradients(TwoLayerReLU(n, units, seed=seed).double(), X),
        }
        for name, features in families.items():
            edges = parity_edges(features, k)
            bound = min(dimension_bound(features.shape[1], n, k), 0.5)
            rows.append((name, features.shape[1], float(edges.mean()), bound, float(edges.max())))
    note = f"n = {n}, k = {k}: all parities at all {2**n} points, uniform; weights of any size. Bound: p / (2 C(n, k))."
    return ResultTable("Fixed features against all parities", columns, tuple(rows), (note,))


def norm_table(n: int, degrees: Sequence[int]) -> ResultTable:
    """Largest correlations at norm 1 against the norm bound, and the norms of parities in kernels."""
    X = cube(n)
    kernels: dict[str, Kernel] = {
        "NTK, 1 hidden layer": Normalized(NTK(fully_connected(1))),
        "NTK, 3 hidden layers": Normalized(NTK(fully_connected(3))),
        "Laplace, scale sqrt(n)": Laplace(scale=sqrt(n)),
    }
    grams = {"exp(x.x'/n - 1)": np.exp(X @ X.T / n - 1)} | {name: kernel(X) for name, kernel in kernels.items()}
    columns = (Column("kernel"), Column("k"), Column("E chi K chi", ".10e"), Column("correlation at norm 1", ".3e"))
    columns += (Column("bound", ".3e"), Column("norm of chi", ".4g"))
    rows = []
    for (name, K), k in product(grams.items(), degrees):
        squares = embedding_norms(K, k)
        correlation = float(np.sqrt(np.mean(np.maximum(squares, 0))))
        norm = 1 / correlation if squares.min() > _ROUNDING else None
        rows.append((name, k, float(squares.mean()), correlation, norm_bound(1.0, n, k), norm))
    notes = (
        f"n = {n}, all points, uniform; K(x, x) = 1. Correlation: root mean square over S of the largest E[h chi_S] "
        "with norm 1; bound: 1 / sqrt(C(n, k)).",
        "Norm of chi: what a function of the kernel's space needs to be chi_S, 1 / sqrt(E chi K chi) for kernels of "
        "<x, x'>. Empty: not in the space; a bias-free network of one hidden layer holds no odd degree above 1.",
    )
    return ResultTable("Kernels against all parities", columns, tuple(rows), notes)


def _gradients(net: TwoLayerReLU, X: np.ndarray) -> np.ndarray:
    """Gradients of the output by all parameters, (points, parameters)."""
    w, b, a = (parameter.detach().numpy() for parameter in net.parameters())
    units = X @ w.T + b
    slopes = (units > 0) * a
    inner = (slopes[:, :, None] * X[:, None, :]).reshape(len(X), -1)
    return np.concatenate([inner, slopes, np.maximum(units, 0)], axis=1)
