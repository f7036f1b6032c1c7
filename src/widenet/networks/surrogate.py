"""Surrogate networks: a frozen ReLU network opens the gates, trained weights carry the signal through them."""

import json
from math import isfinite
from pathlib import Path
from typing import Literal, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from widenet._arrays import Array
from widenet._files import replaced
from widenet.errors import InvalidArchitecture, InvalidFile, InvalidInput
from widenet.networks.descent import read_inputs
from widenet.networks.gated_stack import GatedStack
from widenet.networks.relu_stack import stack_of, stack_weights
from widenet.networks.surrogate_conversion import Certificate, Conversion, converted_weights, unit_offsets, violations

_FORMAT = "widenet surrogate network 1"
_FLOORS = {torch.float64: 1e5, torch.float32: 1e3}


class SurrogateNetwork(nn.Module):
    """A network whose gates are those of a frozen ReLU network, so that no activation pattern changes in training.

    The start is a ReLU network B relu(Z_L ... relu(Z_1 relu(A x))), for example a `relu_stack`. With

        gate path (frozen)   q_0 = relu(A x), u_l = Z_l q_(l-1), D_l = diag(1[u_l > 0]), q_l = relu(u_l),
        value path (trained) g_0 = q_0, g_l = D_l W_l g_(l-1), W = Z at the start,

    F(x) = B g_L. At the start F is the ReLU network and has its tangent kernel. With one trained layer F is linear in
    its weights; with more, its kernel drifts through the other layers' weights only. `to_relu` gives an equal plain
    ReLU network of twice the width. The paper (only its abstract was read) trains networks with fixed patterns that
    can be turned into ReLU networks; these definitions and the conversion are this library's.

    Args:
        start: A stack of `nn.Linear(bias=False)` and `nn.ReLU`: A, the Z_l and B. It is copied.
        train_input: Whether A is trained like a hidden layer, instead of frozen. B is always frozen.

    Attributes:
        value: The trained matrices W.

    Raises:
        InvalidArchitecture: If the start is no such stack, or leaves no layer to train.

    References:
        Noy, Xu, Aflalo, Zelnik-Manor and Jin 2021, arXiv 2101.04243.

    Example:
        >>> from widenet.networks.relu_stack import relu_stack
        >>> start = relu_stack((5, 64, 64, 1))
        >>> X = torch.eye(5, dtype=torch.float64)
        >>> network = SurrogateNetwork(start)
        >>> bool((network(X) == start(X)).all())
        True
    """

    output: Tensor

    def __init__(self, start: nn.Sequential, *, train_input: bool = False) -> None:
        super().__init__()
        weights = [weight.detach() for weight in stack_weights(start)]
        self.train_input = train_input
        if len(weights) < 3 - train_input:
            raise InvalidArchitecture(
                f"a surrogate network needs {3 - train_input} or more linear maps, or it has none to train",
                str(len(weights)),
                "" if train_input else "Add a hidden layer, or train the first one with train_input=True",
            )
        self._depth = len(weights) - 1
        for number, weight in enumerate(weights[:-1]):
            self.register_buffer(f"gate_{number}", weight.clone())
        self.register_buffer("output", weights[-1].clone())
        self.value = nn.ParameterList(weight.clone() for weight in weights[self._first : -1])

    @property
    def _first(self) -> int:
        """Number of the first trained layer."""
        return 0 if self.train_input else 1

    @property
    def gate_weights(self) -> list[Tensor]:
        """A and the Z_l, frozen."""
        return [self.get_buffer(f"gate_{number}") for number in range(self._depth)]

    def forward(self, X: Tensor) -> Tensor:
        """F(X), (n, outputs), for inputs (n, fan_in)."""
        return self.on(X).forward(list(self.value)).prediction

    def on(self, X: Tensor) -> GatedStack:
        """The network on fixed inputs, as a function of its trained weights: its gates are computed once."""
        base, values = self._gate_values(X)
        return GatedStack(base, tuple(value > 0 for value in values), self.output)

    def relu_on(self, X: Tensor) -> GatedStack:
        """The ReLU network on fixed inputs, as a function of the same weights."""
        return GatedStack(self._gate_values(X)[0], None, self.output)

    def relu_network(self) -> nn.Sequential:
        """The ReLU network with the trained weights; after training it is not equal to this network."""
        return stack_of([*self.gate_weights[: self._first], *self.value, self.output])

    def movement(self) -> float:
        """Largest |W - Z| / |Z| of a layer, in Frobenius norms."""
        pairs = zip(self.value, self.gate_weights[self._first :], strict=True)
        return max(float(torch.linalg.norm(W.detach() - Z) / torch.linalg.norm(Z)) for W, Z in pairs)

    def _gate_values(self, X: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Input of the first trained layer, and u of every trained layer."""
        if X.ndim != 2 or X.shape[1] != self.gate_weights[0].shape[1]:
            raise InvalidInput(f"X must have shape (n, {self.gate_weights[0].shape[1]})", f"{tuple(X.shape)}")
        signal, found, base = X, [], X
        for number, weight in enumerate(self.gate_weights):
            if number == self._first:
                base = signal
            value = signal @ weight.T
            if number >= self._first:
                found.append(value.detach())
            signal = torch.relu(value)
        return base, found

    @torch.no_grad()
    def to_relu(
        self,
        X: Array,
        *,
        mode: Literal["train-exact", "everywhere"] = "train-exact",
        margin: float = 0.05,
        floor: float | None = None,
        validation: Array | None = None,
    ) -> Conversion:
        """An equal plain ReLU network, `nn.Linear(bias=False)` and `nn.ReLU` in turn, trained layers twice as wide.

        With 1[u > 0] v = relu(C u + v) - C relu(u), where C u + v has the sign of u, both paths run side by side. C of
        every unit is the smallest that serves the reference set, times 1 + margin; at the start of training it is 0.

        Args:
            X: Reference set, (n, fan_in), on which the two are equal up to rounding: the training points.
            mode: "train-exact" takes the smallest C: other inputs can differ much. "everywhere" takes C of `floor` at
                least, so that inputs differ only within |v| / C of a unit's boundary, at the price of C roundings.
            margin: Relative distance of C to its smallest value.
            floor: Smallest C of the mode "everywhere"; None for 1e5 in double and 1e3 in single precision.
            validation: Inputs on which to count violated conditions, or None.

        Returns:
            The network, and a certificate with its largest difference on X.

        Raises:
            InvalidInput: On a mode that is not known, a margin or floor that is not positive, or bad inputs.

        Cost:
            A pass over X, (2 m)^2 numbers a layer, and up to four times the work of the gate path at prediction.
        """
        if mode not in ("train-exact", "everywhere"):
            raise InvalidInput("mode must be 'train-exact' or 'everywhere'", repr(mode))
        least = _FLOORS[self.output.dtype] if floor is None else floor
        if not (isfinite(margin) and margin > 0 and isfinite(least) and least > 0):
            raise InvalidInput("margin and floor must be positive and finite", f"{margin} and {least}")
        points = read_inputs(X, self.output)
        pairs = self._both_values(points)
        found = [unit_offsets(u, v, margin, least if mode == "everywhere" else 0.0) for u, v in pairs]
        offsets = [entry[0] for entry in found]
        frozen = self.gate_weights[: self._first]
        trained = converted_weights(self.gate_weights[self._first :], list(self.value), self.output, offsets)
        network = stack_of([*frozen, *trained])
        prediction = self(points)
        broken = None if validation is None else self._broken(read_inputs(validation, self.output), offsets)
        certificate = Certificate(
            largest_difference=float((network(points) - prediction).abs().max()),
            largest_value=float(prediction.abs().max()),
            largest_offset=max(float(offset.max()) for offset in offsets),
            units_without_offset=tuple(
                (layer + self._first, unit) for layer, (_, units) in enumerate(found) for unit in units
            ),
            violating_inputs=None if broken is None else float(broken.any(1).double().mean()),
            violating_pairs=None if broken is None else float(broken.double().mean()),
        )
        return Conversion(network, certificate)

    def _both_values(self, X: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Values u of the gate path and v of the value path of every trained layer."""
        base, gate_values = self._gate_values(X)
        signal, found = base, []
        for u, W in zip(gate_values, self.value, strict=True):
            v = signal @ W.T
            found.append((u, v))
            signal = v * (u > 0)
        return found

    def _broken(self, X: Tensor, offsets: list[Tensor]) -> Tensor:
        """Where a unit's condition fails, (n, units of all layers)."""
        pairs = zip(self._both_values(X), offsets, strict=True)
        return torch.cat([violations(u, v, offset) for (u, v), offset in pairs], 1)

    def save(self, path: str | Path) -> None:
        """Write the network as safetensors: gates, values, output; the file is whole or absent.

        Args:
            path: The file.

        Raises:
            InvalidFile: Where the folder cannot be written to.
        """
        path = Path(path)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()}
        try:
            with replaced(path) as aside:
                save_file(tensors, aside, {"format": _FORMAT, "train_input": json.dumps(self.train_input)})
        except (OSError, SafetensorError) as error:
            raise InvalidFile(f"a network must be written to {path}", str(error), "Choose another folder") from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A network that `save` wrote.

        Args:
            path: The file.

        Raises:
            InvalidFile: Where it is missing, corrupt or of another program.
        """
        try:
            with safe_open(path, framework="pt") as file:
                facts = file.metadata() or {}
                if facts.get("format") != _FORMAT:
                    raise InvalidFile(f"{path} must be a saved surrogate network", "a foreign file")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            gates = [tensors[f"gate_{number}"] for number in range(sum(name.startswith("gate_") for name in tensors))]
            network = cls(stack_of([*gates, tensors["output"]]), train_input=json.loads(facts["train_input"]))
            network.load_state_dict(tensors)
        except InvalidFile:
            raise
        except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
            cause = " ".join(str(error).split())[:200]
            raise InvalidFile(f"{path} must be a saved surrogate network", cause) from error
        return network
