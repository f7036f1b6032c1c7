"""Training of any module by gradient descent, with records, checkpoints, and predictions of what was trained."""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from widenet._arrays import Array, is_count, row_blocks
from widenet.errors import InvalidInput
from widenet.kernels.progress import counted
from widenet.networks.checkpoints import Checkpoint, run_identity
from widenet.networks.descent import GradientDescent, per_parameter, read_inputs, read_targets

Ending = Literal["finished", "reached", "diverged"]

_PREDICT_ROWS = 1024


@dataclass(frozen=True)
class Recorder:
    """A function that is called during training, at step 0, every so many steps, and at the end.

    Args:
        observe: Takes the number of steps done and the module; what it returns is kept in `History.records`. With a
            checkpoint it must return a number, a dict or list of numbers, or None.
        every: Steps between two calls.

    Raises:
        InvalidInput: Where `every` is no whole number of at least 1.
    """

    observe: Callable[[int, nn.Module], Any]
    every: int = 1

    def __post_init__(self) -> None:
        if not is_count(self.every):
            raise InvalidInput("every must be a whole number of steps, 1 or more", repr(self.every))


@dataclass(frozen=True, eq=False)
class History:
    """What a training run did.

    Attributes:
        losses: Loss of each step's rows before the step, (steps,), or (steps, members) of an ensemble.
        final_loss: Loss of all rows at the end, (), or (members,).
        records: (steps done, what the recorder returned), in order.
        ending: "finished" all steps, "reached" the target loss, or "diverged" to a loss that is not finite.
        seconds: Time of this call; of a run that went on from a checkpoint, of the last part.
    """

    losses: np.ndarray
    final_loss: np.ndarray
    records: tuple[tuple[int, Any], ...]
    ending: Ending
    seconds: float

    @property
    def steps(self) -> int:
        """Steps that were done."""
        return len(self.losses) - (self.ending != "finished")


def train(
    module: nn.Module,
    X: Array,
    y: Array,
    descent: GradientDescent,
    recorder: Recorder | None = None,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Train a module in place.

    Equal modules, rows and settings give equal results, bit for bit on one machine with one number of threads. So does
    a run that was killed and is called again with its checkpoint. Ctrl-C takes effect between two steps: the module
    is left whole, the checkpoint is written, and KeyboardInterrupt raised; a second Ctrl-C interrupts the step.

    Args:
        module: What maps rows (n, ...) to outputs (n, outputs), or (members, n, outputs), all of which are then trained
            as networks of their own. Parameters that require no gradient stay as they are.
        X: Rows, (n, ..., channels), brought to the precision and device of the parameters.
        y: Targets (n,) or (n, outputs), or classes 0, 1, ... (n,) for the cross-entropy.
        descent: The settings.
        recorder: Called during training.
        checkpoint: Where the state is saved, and taken from where there is one.

    Returns:
        The losses, the records and how it ended.

    Raises:
        InvalidInput: On rows, targets or settings that do not fit the module.
        InvalidFile: Where a checkpoint cannot be read or written.
        FingerprintMismatch: Where it belongs to another run.

    Example:
        >>> import torch
        >>> module = torch.nn.Linear(2, 1, bias=False, dtype=torch.float64)
        >>> history = train(module, [[1.0, 0.0], [0.0, 1.0]], [3.0, -1.0], GradientDescent(0.5, steps=60))
        >>> history.ending, module.weight.detach().numpy().round(6)
        ('finished', array([[ 3., -1.]]))
    """
    run = _Run(module, X, y, descent)
    identity = "" if checkpoint is None else run_identity(descent, module.state_dict(), (run.X, run.y))
    began, was_training = time.perf_counter(), module.training
    module.train()
    try:
        with torch.random.fork_rng(devices=[]), _held_interrupts() as interrupted:
            torch.manual_seed(descent.seed)
            stored = None if checkpoint is None else checkpoint.read(identity)
            if stored is not None:
                run.restore(*stored)
            _loop(run, recorder, _Saver(run, checkpoint, identity), interrupted)
    finally:
        module.train(was_training)
    final = run.final_loss()
    losses = np.array(run.losses, dtype=np.float64).reshape(len(run.losses), *final.shape)
    return History(losses, final, tuple(run.records), run.ending, time.perf_counter() - began)


def predict(module: nn.Module, X: Array, batch_size: int = _PREDICT_ROWS) -> np.ndarray:
    """Outputs of a module in evaluation mode, without gradients, block by block.

    Args:
        module: The module.
        X: Rows, (n, ..., channels).
        batch_size: Rows of a block.

    Returns:
        (n, outputs), or (members, n, outputs) of an ensemble, float64.
    """
    parameter = next(module.parameters())
    points, was_training = read_inputs(X, parameter), module.training
    module.eval()
    try:
        with torch.no_grad():
            parts = [_as_outputs(module(points[rows])) for rows in row_blocks(len(points), batch_size)]
    finally:
        module.train(was_training)
    return torch.cat(parts, -2).double().cpu().numpy()


@dataclass(eq=False)
class _Run:
    """The state of a run."""

    module: nn.Module
    points: Array
    targets: Array
    descent: GradientDescent
    step: int = 0
    ending: Ending = "finished"
    losses: list[list[float] | float] = field(default_factory=list)
    records: list[tuple[int, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        trained = {name: p for name, p in self.module.named_parameters() if p.requires_grad}
        if not trained:
            raise InvalidInput("a module to train must have parameters that require gradients", "none")
        self.parameters: dict[str, nn.Parameter] = trained
        first = next(iter(trained.values()))
        self.X = read_inputs(self.points, first)
        self.y = read_targets(self.targets, self.descent.loss, first, len(self.X))
        self.rates = per_parameter("learning_rate", self.descent.learning_rate, trained)
        self.decays = per_parameter("weight_decay", self.descent.weight_decay, trained)
        to_start = self.descent.decay_to == "start" and any(self.decays.values())
        self.centres = {name: p.detach().clone() for name, p in trained.items()} if to_start else {}
        moving = self.descent.momentum > 0
        self.velocities = {name: torch.zeros_like(p) for name, p in trained.items()} if moving else {}
        self._check(predict(self.module, self.X[:1]).shape[-1])

    def _check(self, outputs: int) -> None:
        """Refuse targets that do not fit the number of outputs."""
        if self.descent.loss == "cross_entropy":
            if int(self.y.max()) >= outputs:
                raise InvalidInput(f"classes must be below the {outputs} outputs", f"class {int(self.y.max())}")
        elif self.y.shape[1] != outputs:
            got = f"shape {tuple(self.y.shape)}"
            raise InvalidInput(f"the module has {outputs} outputs, and y must have as many", got)

    @property
    def done(self) -> bool:
        return self.step >= self.descent.steps or self.ending != "finished"

    def advance(self) -> None:
        """One step; the loss of its rows is kept, and ends the run where it is not finite or low enough."""
        rows = self.descent.rows(self.step, len(self.X))
        X, y = (self.X, self.y) if rows is None else (self.X[rows], self.y[rows])
        losses = self.descent.losses(_as_outputs(self.module(X)), y, len(self.X))
        self.losses.append(losses.tolist())
        if not bool(torch.isfinite(losses).all()):
            self.ending = "diverged"
        elif float(losses.detach().max()) <= self.descent.target_loss:
            self.ending = "reached"
        if self.ending == "finished":
            self._move(torch.autograd.grad(losses.sum(), list(self.parameters.values()), allow_unused=True))
            self.step += 1

    @torch.no_grad()
    def _move(self, gradients: tuple[Tensor | None, ...]) -> None:
        for (name, p), gradient in zip(self.parameters.items(), gradients, strict=True):
            change = torch.zeros_like(p) if gradient is None else gradient
            if self.decays[name]:
                change = change + self.decays[name] * (p - self.centres[name] if self.centres else p)
            if self.velocities:
                change = self.velocities[name].mul_(self.descent.momentum).add_(change)
            p.sub_(change, alpha=self.rates[name])

    def final_loss(self) -> np.ndarray:
        """Loss of all rows, in evaluation mode."""
        outputs = torch.as_tensor(predict(self.module, self.X))
        targets = self.y.cpu() if self.y.dtype == torch.int64 else self.y.cpu().double()
        return self.descent.losses(outputs, targets, len(targets)).numpy()

    def tensors(self) -> dict[str, Tensor]:
        """All arrays of the state."""
        found = {f"module/{name}": tensor for name, tensor in self.module.state_dict().items()}
        found |= {f"velocity/{name}": tensor for name, tensor in self.velocities.items()}
        return found | {"random": torch.get_rng_state(), "losses": torch.tensor(self.losses, dtype=torch.float64)}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take over the state of a checkpoint."""
        state = {name.removeprefix("module/"): t for name, t in tensors.items() if name.startswith("module/")}
        self.module.load_state_dict(state)
        for name, velocity in self.velocities.items():
            velocity.copy_(tensors[f"velocity/{name}"])
        torch.set_rng_state(tensors["random"])
        self.step = int(facts["step"])
        # Of a run that ended early the last loss is of a step that was not done.
        self.losses = tensors["losses"].tolist()[: self.step]
        self.records = [(int(step), value) for step, value in facts["records"]]


@dataclass(frozen=True, eq=False)
class _Saver:
    """Writes the state of a run where a checkpoint is asked for."""

    run: _Run
    checkpoint: Checkpoint | None
    identity: str

    def save(self) -> None:
        if self.checkpoint is not None:
            facts = {"step": self.run.step, "records": self.run.records}
            self.checkpoint.write(self.identity, self.run.tensors(), facts)

    def save_if_due(self) -> None:
        if self.checkpoint is not None and self.run.step % self.checkpoint.every == 0 and not self.run.done:
            self.save()


def _loop(run: _Run, recorder: Recorder | None, saver: _Saver, interrupted: Callable[[], bool]) -> None:
    """All steps that are left."""
    if recorder is not None:  # the one at the end of a shorter run is not one of a longer run
        run.records = [entry for entry in run.records if entry[0] % recorder.every == 0]
    with counted(max(run.descent.steps - run.step, 0)) as tick:
        while not run.done:
            if recorder is not None and run.step % recorder.every == 0:
                _observe(run, recorder)
            run.advance()
            tick()
            if interrupted():
                saver.save()
                raise KeyboardInterrupt
            saver.save_if_due()
    if recorder is not None:
        _observe(run, recorder)
    saver.save()


def _observe(run: _Run, recorder: Recorder) -> None:
    if not run.records or run.records[-1][0] != run.step:
        run.records.append((run.step, recorder.observe(run.step, run.module)))


@contextmanager
def _held_interrupts() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C was pressed since; only the second one interrupts at once."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or previous is None:
        yield lambda: False
        return
    pressed: list[int] = []

    def press(number: int, frame: object) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, previous)


def _as_outputs(outputs: Tensor) -> Tensor:
    """(rows, outputs), where a module leaves out the axis of its one output."""
    return outputs[:, None] if outputs.ndim == 1 else outputs
