"""Recurrent layers, and what is read out of the sequence of their units."""

from dataclasses import dataclass
from typing import Literal

from widenet.architectures.activations import Activation, ReLU
from widenet.architectures.base import Layer, set_finite
from widenet.errors import InvalidArchitecture

InitialState = Literal["independent", "shared", "zero"]


@dataclass(frozen=True)
class Recurrent(Layer):
    """Elman layer in the NTK parameterisation: weights shared over the steps of a sequence.

    h_t = activation(hidden_std / sqrt(width) W h_{t-1} + input_std / sqrt(fan_in) U x_t + bias_std b),
    h_0 = initial_std N(0, I), with W, U, b ~ N(0, 1) at the start; W, U, b are trained. The paper writes
    sigma_w, sigma_u, sigma_b and sigma_h for the four factors. One recurrent layer may follow another.

    Args:
        activation: The function of the units.
        hidden_std: Factor of W, the weights from step to step. For ReLU, sqrt(2) weighs all steps alike,
            less forgets, more explodes.
        input_std: Factor of U, the weights of the input.
        bias_std: Factor of the bias; 0 means no bias.
        initial_std: Factor of the state before the first step.
        initial_state: "independent": every sequence draws a state of its own, as in the paper, so a sequence is
            related to itself more closely than to an equal one. "shared": one random state for all. "zero": none,
            whatever `initial_std` says.
        trainable: Whether the layer is trained; a frozen one adds nothing of its own to the NTK.

    Raises:
        InvalidArchitecture: On a value that is negative, not finite, or not among the named options.

    References: Alemohammad et al. 2021, arXiv 2006.10246 (RNTK).

    Example:
        >>> Recurrent(ReLU(), hidden_std=1.4, bias_std=0.1)
        Recurrent(hidden_std=1.4, bias_std=0.1)
    """

    activation: Activation = ReLU()  # noqa: RUF009 (a frozen value)
    hidden_std: float = 1.0
    input_std: float = 1.0
    bias_std: float = 0.0
    initial_std: float = 0.0
    initial_state: InitialState = "independent"
    trainable: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.activation, Activation):
            raise InvalidArchitecture("Recurrent.activation must be an Activation", repr(self.activation))
        set_finite(self, "hidden_std", "input_std", "bias_std", "initial_std", minimum=0.0)
        if self.initial_state not in ("independent", "shared", "zero"):
            raise InvalidArchitecture(
                "Recurrent.initial_state must be 'independent', 'shared' or 'zero'", repr(self.initial_state)
            )
        if not isinstance(self.trainable, bool):
            raise InvalidArchitecture("Recurrent.trainable must be True or False", repr(self.trainable))

    def __repr__(self) -> str:
        defaults = {name: field.default for name, field in self.__dataclass_fields__.items()}
        shown = [f"{name}={getattr(self, name)!r}" for name in defaults if getattr(self, name) != defaults[name]]
        return f"Recurrent({', '.join(shown)})"


@dataclass(frozen=True)
class LastStep(Layer):
    """The units of the last step of a sequence; what a Dense layer reads after a Recurrent one anyway."""


@dataclass(frozen=True)
class StepwiseAverage(Layer):
    """Average over the steps of outputs that have weights of their own at each step: sum_t V_t h_t / sqrt(T).

    The layer after it is that readout, a `Dense` of independent weights a step, and is the last one. Steps are
    compared by their number, so all sequences must have one length; `GlobalAveragePool` serves unequal ones.

    References: Alemohammad et al. 2020, arXiv 2012.04859.
    """
