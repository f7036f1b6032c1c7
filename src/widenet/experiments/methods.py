"""What `compare` compares: the kernels of this library and tuned peers from scikit-learn."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, SVR

from widenet.architectures import fully_connected
from widenet.errors import InvalidInput
from widenet.estimators import KernelClassifier, KernelRegressor
from widenet.experiments.tables import Task
from widenet.kernels import NNGP, NTK, GammaExponential, Gaussian, Kernel, Laplace

Family = Literal["widenet", "peer", "baseline"]
INNER_FOLDS = 3
TREES = 200
# A rate of 0.03 needs three times the iterations of 0.1 to learn as much.
BOOSTING_GRID = [
    {"learning_rate": [rate], "max_iter": [iterations], "max_leaf_nodes": [8, 31]}
    for rate, iterations in ((0.03, 300), (0.1, 100))
]


Learner = Any  # an estimator of scikit-learn: it declares neither `fit` nor `predict` on its base class


@dataclass(frozen=True)
class Method:
    """A way to learn from encoded rows, with its own tuning inside `fit`.

    Attributes:
        name: What it is called in tables.
        family: "widenet", "peer" or "baseline".
        tuning: What is tuned, and how, in words.
        make: Makes an unfitted estimator from a seed and the number d of encoded columns, which sets the unit of
            length scales, sqrt(2 d), and of gamma, 1 / d.
    """

    name: str
    family: Family
    tuning: str
    make: Callable[[int, int], Learner]


def all_methods(task: Task) -> list[Method]:
    """Every method for a task, in the order of the tables."""
    return [*_kernel_methods(task), *(_regression_peers() if task == "regression" else _classification_peers())]


def chosen_methods(task: Task, names: list[str] | None) -> list[Method]:
    """The methods of these names (lower or upper case), each once, or all of them.

    Raises:
        InvalidInput: If a name is none of them.
    """
    methods = all_methods(task)
    if names is None:
        return methods
    by_name = {method.name.lower(): method for method in methods}
    unknown = [name for name in names if name.strip().lower() not in by_name]
    if unknown:
        raise InvalidInput("no such method", repr(unknown[0]), f"One of: {', '.join(m.name for m in methods)}")
    return [by_name[name] for name in dict.fromkeys(name.strip().lower() for name in names)]


def kernel_families(features: int) -> dict[str, list[Kernel]]:
    """Candidate kernels of each family for d encoded columns of unit variance."""
    unit = float(np.sqrt(2 * features))
    scales = [unit * factor for factor in (0.25, 0.5, 1.0, 2.0, 4.0)]
    nets = [fully_connected(depth, bias_std=bias, scaling="he") for depth in (1, 2, 3, 4, 5) for bias in (0.0, 0.5)]
    return {
        "NTK": [NTK(net) for net in nets],
        "NNGP": [NNGP(net) for net in nets],
        "Laplace": [Laplace(scale) for scale in scales],
        "gamma-exponential": [GammaExponential(scale, gamma) for gamma in (0.5, 1.5) for scale in scales],
        "Gaussian": [Gaussian(scale) for scale in scales],
    }


def _kernel_methods(task: Task) -> list[Method]:
    learner = KernelRegressor if task == "regression" else KernelClassifier
    how = "by leave-one-out error in closed form"
    automatic = Method(
        "widenet auto",
        "widenet",
        f"kernel, depth, scale and ridge {how}",
        lambda seed, features: learner(kernel="auto", standardize=False),
    )

    def of_family(name: str) -> Callable[[int, int], Learner]:
        return lambda seed, features: learner(kernel=kernel_families(features)[name], standardize=False)

    families = [
        Method(name, "widenet", f"{len(kernels)} kernels and the ridge {how}", of_family(name))
        for name, kernels in kernel_families(1).items()
    ]
    return [automatic, *families]


def _regression_peers() -> list[Method]:
    return [
        Method("ridge", "peer", "17 ridges by leave-one-out", lambda seed, features: RidgeCV(np.logspace(-4, 4, 17))),
        Method(
            "RBF SVM",
            "peer",
            f"16 pairs of C and gamma in {INNER_FOLDS} inner folds",
            lambda seed, features: TransformedTargetRegressor(
                GridSearchCV(SVR(), _support_grid(features), cv=_shuffled(seed)), transformer=StandardScaler()
            ),
        ),
        Method(
            "random forest",
            "peer",
            f"{TREES} trees; 4 pairs of features and leaf size in {INNER_FOLDS} inner folds",
            lambda seed, features: GridSearchCV(
                RandomForestRegressor(TREES, random_state=seed, n_jobs=-1),
                {"max_features": [1 / 3, 1.0], "min_samples_leaf": [1, 4]},
                cv=_shuffled(seed),
            ),
        ),
        Method(
            "gradient boosting",
            "peer",
            f"histograms; 4 pairs of rate (with its iterations) and leaves in {INNER_FOLDS} inner folds",
            lambda seed, features: GridSearchCV(
                HistGradientBoostingRegressor(random_state=seed), BOOSTING_GRID, cv=_shuffled(seed)
            ),
        ),
        Method("mean", "baseline", "nothing", lambda seed, features: DummyRegressor()),
    ]


def _classification_peers() -> list[Method]:
    return [
        Method(
            "logistic",
            "peer",
            f"9 strengths in {INNER_FOLDS} inner folds",
            lambda seed, features: GridSearchCV(
                LogisticRegression(max_iter=2000), {"C": list(np.logspace(-4, 4, 9))}, cv=_stratified(seed)
            ),
        ),
        Method(
            "RBF SVM",
            "peer",
            f"16 pairs of C and gamma in {INNER_FOLDS} inner folds",
            lambda seed, features: GridSearchCV(SVC(), _support_grid(features), cv=_stratified(seed)),
        ),
        Method(
            "random forest",
            "peer",
            f"{TREES} trees; 4 pairs of features and leaf size in {INNER_FOLDS} inner folds",
            lambda seed, features: GridSearchCV(
                RandomForestClassifier(TREES, random_state=seed, n_jobs=-1),
                {"max_features": ["sqrt", 1 / 3], "min_samples_leaf": [1, 4]},
                cv=_stratified(seed),
            ),
        ),
        Method(
            "gradient boosting",
            "peer",
            f"histograms; 4 pairs of rate (with its iterations) and leaves in {INNER_FOLDS} inner folds",
            lambda seed, features: GridSearchCV(
                HistGradientBoostingClassifier(random_state=seed), BOOSTING_GRID, cv=_stratified(seed)
            ),
        ),
        Method("most frequent", "baseline", "nothing", lambda seed, features: DummyClassifier(strategy="prior")),
    ]


def _support_grid(features: int) -> dict[str, list[float]]:
    return {"C": [0.1, 1.0, 10.0, 100.0], "gamma": [factor / features for factor in (0.1, 0.3, 1.0, 3.0)]}


def _shuffled(seed: int) -> KFold:
    return KFold(INNER_FOLDS, shuffle=True, random_state=seed)


def _stratified(seed: int) -> StratifiedKFold:
    return StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=seed)
