"""How much more a network learns than its tangent kernel: any module, any data, honest splits."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
import torch
from torch import Tensor, nn

from widenet._arrays import Array, read_inputs
from widenet.errors import InvalidInput
from widenet.networks.descent import GradientDescent
from widenet.networks.empirical import EmpiricalNTK
from widenet.networks.module_function import ModuleFunction
from widenet.networks.tangent_certificate import TangentCertificate, tangent_certificate
from widenet.networks.training import predict, train
from widenet.solvers.cholesky import Cholesky

RIDGES = tuple(10.0**power for power in range(-6, 3))  # times the mean diagonal
Trainer = Callable[[nn.Module, Tensor, Tensor], object]

_VALIDATION, _TEST = 0.15, 0.25
_FEWEST = 40


@dataclass(frozen=True)
class AdamTraining:
    """Adam on the mean of |f(x) - y|^2 / 2 over random batches, in place.

    Attributes:
        steps: Number of steps.
        learning_rate: Its step size.
        batch_size: Rows of a step, drawn without order.
        seed: Of the batches, and of modules that draw random numbers.

    Raises:
        InvalidInput: On values out of range.
    """

    steps: int = 2000
    learning_rate: float = 1e-3
    batch_size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1 or self.seed < 0 or not 0 < self.learning_rate < inf:
            raise InvalidInput(
                "steps, batch_size and learning_rate must be positive, the seed not negative", repr(self)
            )

    def __call__(self, module: nn.Module, X: Tensor, y: Tensor) -> None:
        """Train a module on rows X (n, ..., channels) with targets y (n, outputs)."""
        optimiser = torch.optim.Adam([p for p in module.parameters() if p.requires_grad], self.learning_rate)
        random = torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            for _ in range(self.steps):
                rows = torch.randint(len(X), (min(self.batch_size, len(X)),), generator=random).to(X.device)
                loss = (module(X[rows]) - y[rows]).square().sum(1).mean() / 2
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()


@dataclass(frozen=True)
class Learner:
    """What one predictor does on the test rows.

    Attributes:
        loss: Mean of |h - y|^2 / 2.
        edge: Loss of predicting the mean, less that loss.
        error: Share of wrong classes, where targets are classes or have two values; else None.
        ridge: Relative ridge that the validation rows chose, for a kernel; else None.
    """

    loss: float
    edge: float
    error: float | None
    ridge: float | None = None


@dataclass(frozen=True, eq=False)
class KernelGapReport:
    """What training gained over the tangent kernel of the start.

    All losses are means of |h - y|^2 / 2 over test rows that nothing was chosen on.

    Attributes:
        rows: Numbers of training, validation and test rows, and of the training rows that kernels had.
        null_loss: Loss of predicting the mean of the training targets; edges are what is gained over it.
        start: Ridge regression with the tangent kernel of the module as it came.
        trained: The module after training.
        after: Ridge regression with its tangent kernel after training.
        gap: Edge of the trained module less that of the tangent kernel at the start.
        gap_error: Standard error of the gap over the test rows.
        start_size: Root mean square of the module's outputs before training; the theory has 0, as from `Twin`.
        certificate: Lower bound of what one function of the tangent kernel gains on the training rows.
        certified_edge: What that function gains on the test rows.
    """

    rows: tuple[int, int, int, int]
    null_loss: float
    start: Learner
    trained: Learner
    after: Learner
    gap: float
    gap_error: float
    start_size: float
    certificate: TangentCertificate
    certified_edge: float

    @property
    def verdict(self) -> str:
        """One sentence on the gap, which counts from two standard errors on."""
        if self.gap > 2 * self.gap_error:
            fewer = (
                f" (which had only {self.rows[3]} of the {self.rows[0]} rows)" if self.rows[3] < self.rows[0] else ""
            )
            return f"Training learnt what the tangent kernel of its start{fewer} did not: features matter here."
        if self.gap < -2 * self.gap_error:
            return "The tangent kernel of the start does better than this training."
        return "Training and the tangent kernel of its start do equally well, within the noise of the test."

    def summary(self) -> str:
        """The report for people to read."""
        train, validation, test, kernel = self.rows
        promise = self.certificate
        lines = [
            f"{train} training rows ({kernel} of them for kernels), {validation} for validation, {test} for the test",
            f"predicting the mean:            loss {self.null_loss:.4f}",
            f"tangent kernel at the start:    {self._line(self.start)}",
            f"network after training:         {self._line(self.trained)}",
            f"tangent kernel after training:  {self._line(self.after)}",
            f"gap of training over the kernel at the start: {self.gap:.4f} (standard error {self.gap_error:.4f})",
            f"certificate: |grad L|^2 / (2 C^2) = {promise.bound:.3g}, |grad L| = {promise.gradient_norm:.3g}, "
            f"C^2 = {promise.largest_norm:.4g}; its function gains {promise.edge:.3g} on the training rows, "
            f"{self.certified_edge:.3g} on the test rows",
            self.verdict,
        ]
        if self.start_size > 0:
            lines.insert(-1, f"outputs start at a root mean square of {self.start_size:.3g}; wn.Twin makes them 0")
        return "\n".join(lines)

    def _line(self, learner: Learner) -> str:
        share = f"loss {learner.loss:.4f}, edge {learner.edge:.4f} ({learner.edge / self.null_loss:.1%})"
        return share if learner.error is None else f"{share}, error {learner.error:.1%}"


def kernel_gap_report(
    module: nn.Module,
    X: Array,
    y: Array,
    training: Trainer | GradientDescent | None = None,
    kernel_rows: int = 2000,
    seed: int = 0,
) -> KernelGapReport:
    """Train a copy of a module, and compare it with its tangent kernel before and after, on rows held out.

    The rows are split at random: 60 % to train, 15 % to choose a ridge, 25 % to test. Targets are centred by the mean
    of the training rows, so that predicting it is the null. Kernels are the traces of the empirical tangent kernels
    over the outputs; their functions, each output with weights of its own, contain all those of the linearised network.

    Args:
        module: Any network from (n, ..., channels) to (n, outputs); stays as it is. Its kernels are those of evaluation
            mode.
        X: Rows, (n, ..., channels).
        y: Targets, (n,) or (n, outputs); or whole classes 0, 1, ..., (n,), for a module of several outputs, which
            become columns of ones and zeros.
        training: How to train: None for `AdamTraining()`, a `GradientDescent`, or a function that trains a module in
            place on rows and centred targets.
        kernel_rows: Most training rows that kernels get.
        seed: Of the split.

    Returns:
        The report; `summary()` reads it out.

    Raises:
        InvalidInput: On rows, targets and outputs that do not fit one another, less than 40 rows, constant targets, or
            training that ends in numbers that are not finite.

    Cost:
        Two Gram matrices of `kernel_rows` rows in double precision, 9 factorisations of each, and the training.

    References:
        After the comparison of Malach, Kamath, Abbe and Srebro 2021, arXiv 2103.01210; the protocol is this library's.

    Example:
        >>> from widenet.theory import BiasedParity
        >>> X, y = BiasedParity(n=10, k=3, alpha=0.5).sample(1200, 0)
        >>> net = nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Linear(64, 1))
        >>> report = kernel_gap_report(net, X, y, AdamTraining(steps=300, learning_rate=0.01))
        >>> report.verdict
        'Training learnt what the tangent kernel of its start did not: features matter here.'
    """
    data = _split(module, X, y, kernel_rows, seed)
    before, after = deepcopy(module).eval(), deepcopy(module).train()
    certificate = tangent_certificate(before, data.X[data.train], data.y[data.train])
    start = _kernel_predictions(before, data)
    _train(after, data, AdamTraining() if training is None else training)
    trained = torch.as_tensor(predict(after.eval(), data.X[data.test]))
    if not bool(torch.isfinite(trained).all()):
        raise _diverged()
    tangent = _kernel_predictions(after, data)
    gains = data.losses(start[0]) - data.losses(trained)
    outputs = ModuleFunction.of(before, None, data.X).outputs(data.X[data.test])
    return KernelGapReport(
        rows=(len(data.train), len(data.validation), len(data.test), len(data.kernel)),
        null_loss=data.null_loss,
        start=data.measure(*start),
        trained=data.measure(trained),
        after=data.measure(*tangent),
        gap=float(gains.mean()),
        gap_error=float(gains.std()) / sqrt(len(gains)),
        start_size=float(outputs.square().mean().sqrt()),
        certificate=certificate,
        certified_edge=certificate.edge_on(data.X[data.test], data.y[data.test]),
    )


@dataclass(frozen=True, eq=False)
class _Data:
    """Rows and centred targets in double precision, and which row is for what.

    Attributes:
        X: Rows, (n, ..., channels).
        y: Targets less their mean over the training rows, (n, outputs).
        mean: That mean, (outputs,).
        levels: The two values of the targets, ascending, or None.
        classes: Whether the columns of y stand for classes.
        train, validation, test, kernel: Numbers of rows; those for kernels are among those for training.
    """

    X: Tensor
    y: Tensor
    mean: Tensor
    levels: tuple[float, float] | None
    classes: bool
    train: Tensor
    validation: Tensor
    test: Tensor
    kernel: Tensor

    @property
    def null_loss(self) -> float:
        return float(self.y[self.test].square().sum(1).mean()) / 2

    def losses(self, predicted: Tensor) -> Tensor:
        """Loss of every test row."""
        return (predicted.cpu() - self.y[self.test].cpu()).square().sum(1) / 2

    def measure(self, predicted: Tensor, ridge: float | None = None) -> Learner:
        loss = float(self.losses(predicted).mean())
        return Learner(loss, self.null_loss - loss, self._error(predicted), ridge)

    def _error(self, predicted: Tensor) -> float | None:
        true, given = (values.cpu() + self.mean.cpu() for values in (self.y[self.test], predicted))
        if self.classes:
            return float((given.argmax(1) != true.argmax(1)).double().mean())
        if self.levels is None:
            return None
        middle = sum(self.levels) / 2
        return float(((given > middle) != (true > middle)).double().mean())


def _split(module: nn.Module, X: Array, y: Array, kernel_rows: int, seed: int) -> _Data:
    points = read_inputs(X).X.detach().double()
    n = len(points)
    if n < _FEWEST or kernel_rows < 2 or seed < 0:
        got = f"{n} rows, kernel_rows = {kernel_rows}, seed = {seed}"
        raise InvalidInput(f"a report needs {_FEWEST} rows, kernel_rows of 2 and a seed of 0, or more", got)
    outputs = ModuleFunction.of(deepcopy(module).eval(), None, points).outputs(points[:1]).shape[1]
    targets, classes = _targets(y, n, outputs)
    targets = targets.to(points.device)
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n)).to(points.device)
    test, validation, train = order.split(
        [int(n * _TEST), int(n * _VALIDATION), n - int(n * _TEST) - int(n * _VALIDATION)]
    )
    values = torch.unique(targets) if outputs == 1 else targets.new_zeros(0)
    levels = (float(values[0]), float(values[1])) if len(values) == 2 else None
    mean = targets[train].mean(0)
    centred = targets - mean
    if not centred[test].any():
        raise InvalidInput("targets must vary", "constant ones")
    return _Data(points, centred, mean, levels, classes, train, validation, test, train[:kernel_rows])


def _targets(y: Array, n: int, outputs: int) -> tuple[Tensor, bool]:
    """Targets (n, outputs) in double precision, and whether they stand for classes."""
    given = y.detach().cpu() if isinstance(y, Tensor) else torch.as_tensor(np.asarray(y))
    if given.ndim == 1 and outputs > 1:
        whole = not given.is_floating_point() and not given.is_complex() and given.dtype != torch.bool
        if not whole or len(given) != n or int(given.min()) < 0 or int(given.max()) >= outputs:
            got = f"{given.dtype}, shape {tuple(given.shape)}"
            raise InvalidInput(f"y must be classes 0 to {outputs - 1} of shape ({n},), or ({n}, {outputs})", got)
        return nn.functional.one_hot(given.long(), outputs).double(), True
    targets = (given[:, None] if given.ndim == 1 else given).double()
    if targets.shape != (n, outputs):
        raise InvalidInput(f"y must have shape ({n}, {outputs}), as the module's outputs", f"{tuple(given.shape)}")
    if not bool(torch.isfinite(targets).all()):
        raise InvalidInput("y must be finite", "NaN or infinity in it", "Drop those rows")
    return targets, False


def _train(module: nn.Module, data: _Data, training: Trainer | GradientDescent) -> None:
    like = next(module.parameters())
    X, y = (values[data.train].to(like.dtype) for values in (data.X, data.y))
    if not isinstance(training, GradientDescent):
        training(module, X, y)
    elif train(module, X, y, training).ending == "diverged":
        raise _diverged()


def _diverged() -> InvalidInput:
    return InvalidInput("training must end in finite outputs", "NaN or infinity", "Lower the learning rate")


def _kernel_predictions(module: nn.Module, data: _Data) -> tuple[Tensor, float]:
    """Ridge regression with the tangent kernel: predictions of the test rows, and the ridge that validation chose."""
    kernel, fitted = EmpiricalNTK(module), data.X[data.kernel]
    with torch.no_grad():
        K = kernel(fitted)
        K_other = kernel(data.X[torch.cat([data.validation, data.test])], fitted)
    found = []
    for ridge in RIDGES:
        predicted = K_other @ Cholesky(ridge_scale="relative").solve(K, data.y[data.kernel], ridge).value
        chosen, tested = predicted.split([len(data.validation), len(data.test)])
        found.append((float((chosen - data.y[data.validation]).square().sum(1).mean()), tested.cpu(), ridge))
    _, tested, ridge = min(found, key=lambda entry: entry[0])
    return tested, ridge
