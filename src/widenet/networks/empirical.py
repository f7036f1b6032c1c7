"""Tangent kernels of networks of finite width: any user's module, as it is."""

import hashlib
from dataclasses import dataclass
from typing import cast, get_args

import torch
from torch import Tensor, nn

from widenet._arrays import Array, Inputs, parse_memory
from widenet.errors import InvalidInput
from widenet.kernels.angle import AngularTerm
from widenet.kernels.base import Kernel
from widenet.networks.jacobian import pull_back, push_forward, squared_gradients
from widenet.networks.kernel_costs import Task, way_of
from widenet.networks.kernel_factors import Factor, Form, Way
from widenet.networks.kernel_plan import Method, TangentKernelPlan, choose
from widenet.networks.module_function import ModuleFunction, check_module, evaluation, select_parameters
from widenet.networks.module_structure import Structure, investigate
from widenet.networks.structured import Part
from widenet.networks.tangent_gram import FactorSource, Request, between, gram_of_factors, gram_of_products


@dataclass(frozen=True, eq=False)
class EmpiricalNTK(Kernel):
    """Tangent kernel of a network of finite width, at its parameters of now.

    Theta_ab(x, y) = grad f_a(x) . grad f_b(y) for the outputs a and b of the module. As a kernel this is the mean over
    outputs of Theta_aa, which for a wide network tends to `NTK` of its architecture. `full` and `per_output` give all.

    Three ways lead there, and `plan` says which is taken: structured derivatives (hooks take the inputs A and the
    derivatives D of each layer, whose part is (A A^T) o (D D^T), or the same over pairs of positions, or the gradients
    formed of both), Jacobians and their inner products, and products J(x) J(y)^T e_b by a pull-back and a push-forward.
    Structured derivatives are known for `nn.Linear`, `nn.Conv1d` to `nn.Conv3d`, batch, group and layer normalisation
    and the layers of `network`, factorised and recurrent ones too; each is checked against reverse mode on two points
    before it is used, and all other parameters are served by Jacobians.

    The work is done in the precision of the points, whatever that of the module, which stays as it is: no gradient,
    hook, flag or buffer changes. Points go to the module in the shape that they come in, (n, ...).

    Args:
        module: A module that returns a tensor (n, ...), each row from its own point alone. Evaluation mode where it has
            dropout or batch normalisation.
        parameters: Names of parameters, or of submodules; None for all that require gradients.
        method: "structured", "jacobian", "products", or "auto" for the one of least estimated time.
        memory_limit: Bytes, or text such as "1 GiB", for the work and the result; None means half of the available
            memory.

    Raises:
        InvalidInput: On modules whose outputs depend on chance or on other points; names that name nothing.
        MemoryLimitExceeded: At the call, where no method fits in the limit.

    Cost:
        By structured derivatives one forward pass and `outputs` backward passes a point; for a layer with p inputs and
        q outputs 2 (p + outputs q) flops a pair, or 2 (p + outputs^2 q) for `full`; `plan` has the sum.

    References:
        Novak, Sohl-Dickstein and Schoenholz 2022, arXiv 2206.08720, for the three ways and their names; this
        implementation, its cost model and its checks are this library's own.

    Example:
        >>> import torch
        >>> module = torch.nn.Linear(2, 3)
        >>> EmpiricalNTK(module)(torch.tensor([[1.0, 2.0], [3.0, 0.0]]))
        tensor([[ 6.,  4.],
                [ 4., 10.]])
    """

    module: nn.Module
    parameters: tuple[str, ...] | None = None
    method: str = "auto"
    memory_limit: int | float | str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.module, nn.Module):
            raise InvalidInput("EmpiricalNTK takes a torch module", type(self.module).__name__)
        if self.method not in ("auto", *get_args(Method)):
            raise InvalidInput(f"method must be one of auto, {', '.join(get_args(Method))}", repr(self.method))
        if self.memory_limit is not None:
            parse_memory(self.memory_limit)
        check_module(self.module)
        select_parameters(self.module, self.parameters)

    def __repr__(self) -> str:
        # A module has no expression; the digest names its weights, as files on disk that belong to them need.
        digest = hashlib.sha256(repr(self.module).encode())
        for name, value in (*self.module.named_parameters(), *self.module.named_buffers()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        kind, names = type(self.module).__name__, select_parameters(self.module, self.parameters)
        chosen = "all" if self.parameters is None else " ".join(names)
        return f"EmpiricalNTK(<{kind} {digest.hexdigest()[:16]}>, parameters=<{chosen}>, method={self.method!r})"

    def __eq__(self, other: object) -> bool:
        """The same function of the points now: equal weights, and equal ways to get there."""
        if not isinstance(other, EmpiricalNTK):
            return NotImplemented
        options = [(k.parameters, k.method, k.memory_limit) for k in (self, other)]
        return options[0] == options[1] and (self.module is other.module or repr(self) == repr(other))

    def __hash__(self) -> int:
        shapes = tuple((name, tuple(value.shape)) for name, value in self.module.named_parameters())
        return hash((type(self.module), shapes, self.parameters, self.method))

    def plan(self, X: Array, Y: Array | None = None, form: Form = "trace") -> TangentKernelPlan:
        """The method that a call with these points takes, its flops and bytes, and why.

        Args:
            X: Points, (n, ...).
            Y: Points, (m, ...), or None for X itself.
            form: "trace" for the kernel itself, "per_output" or "full".

        Raises:
            MemoryLimitExceeded: Where no method fits in the memory limit.
        """
        inputs = self._checked(X, Y)
        columns = len(inputs.X if inputs.Y is None else inputs.Y)
        task = self._task(inputs.X, columns, form, symmetric=inputs.Y is None)
        return self._prepared(inputs.X).plan(task, self.method)

    def full(self, X: Array, Y: Array | None = None) -> Array:
        """Theta_ab(x, y) for all pairs of points and outputs, (n, m, outputs, outputs), of the array kind of X."""
        inputs = self._checked(X, Y)
        return inputs.restore(self._form(self._prepared(inputs.X), inputs, "full")[0].permute(0, 2, 1, 3))

    def per_output(self, X: Array, Y: Array | None = None) -> Array:
        """Theta_aa(x, y) for all pairs of points and all outputs, (n, m, outputs), of the array kind of X."""
        inputs = self._checked(X, Y)
        every = self._form(self._prepared(inputs.X), inputs, "per_output")
        return inputs.restore(every[:, :, 0, :, 0].permute(1, 2, 0))

    def vector_product(self, X: Array, v: Array, Y: Array | None = None) -> Array:
        """sum_jb Theta_ab(x_i, y_j) v_jb, (n, outputs), without the kernel: J(X) (J(Y)^T v).

        Args:
            X: Points, (n, ...).
            v: Coefficients, (m, outputs) or (m,) for one output, of the array kind and precision of X.
            Y: Points, (m, ...), or None for X itself.

        Returns:
            (n, outputs), of the array kind of X.

        Raises:
            InvalidInput: On coefficients of another shape.

        Cost:
            Three forward passes and one backward pass, all of all points at once.
        """
        inputs = self._checked(X, Y)
        points = inputs.X if inputs.Y is None else inputs.Y
        function = ModuleFunction.of(self.module, self.parameters, inputs.X)
        with evaluation(points.device), torch.no_grad():
            outputs = function(function.parameters, points[:1]).shape[1]
            weights = torch.as_tensor(v, dtype=points.dtype, device=points.device)
            weights = weights[:, None] if weights.ndim == 1 else weights
            if weights.shape != (len(points), outputs):
                raise InvalidInput(f"v must be ({len(points)}, {outputs})", f"shape {tuple(weights.shape)}")
            return inputs.restore(push_forward(function, inputs.X, pull_back(function, points, weights)))

    def _checked(self, X: Array, Y: Array | None) -> Inputs:
        return self._read_inputs(X, None if Y is X else Y)

    def _task(self, X: Tensor, columns: int, form: Form, *, symmetric: bool) -> Task:
        return Task(len(X), columns, symmetric, form, X.element_size(), parse_memory(self.memory_limit))

    def _form(self, prepared: "_Prepared", inputs: Inputs, form: Form) -> Tensor:
        """Kernel in a form, (k, n, a, m, a), differentiable where the points ask for it."""
        X, Y = inputs.X, inputs.Y
        task = self._task(X, len(X if Y is None else Y), form, symmetric=Y is None)
        if torch.is_grad_enabled() and (X.requires_grad or (Y is not None and Y.requires_grad)):
            source = prepared.source(task, structured=self.method != "jacobian")
            left = source.factors(X, graph=True)
            return between(left, left if Y is None else source.factors(Y, graph=True), form)
        plan = prepared.plan(task, self.method)
        points, others = X.detach(), None if Y is None else Y.detach()
        request = Request(points, others, form, prepared.structure.outputs, plan.layout)
        if plan.method == "products":
            return gram_of_products(prepared.function, request)
        return gram_of_factors(prepared.source(task, structured=plan.method == "structured"), request)

    def _prepared(self, X: Tensor) -> "_Prepared":
        function = ModuleFunction.of(self.module, self.parameters, X)
        return _Prepared(function, investigate(function, X))

    def _matrix(self, X: Tensor, Y: Tensor | None) -> Tensor:
        prepared = self._prepared(X)
        whole = self._form(prepared, Inputs(X, Y, numpy=False), "trace")[0, :, 0, :, 0]
        # Not in place where gradients flow.
        return whole / prepared.structure.outputs if whole.requires_grad else whole.div_(prepared.structure.outputs)

    def _cross(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self._matrix(X, None if same else Y)

    def _block(self, X: Tensor, Y: Tensor, *, same: bool) -> Tensor:
        return self._cross(X, Y, same=same)

    def _angular_terms(self, X: Tensor, Y: Tensor | None) -> tuple[AngularTerm, ...] | None:
        return None

    def _diagonal(self, X: Tensor) -> Tensor:
        prepared = self._prepared(X)
        task = self._task(X, 1, "trace", symmetric=False)  # as much as one column
        if torch.is_grad_enabled() and X.requires_grad:
            return _mean_square(prepared.source(task, structured=self.method != "jacobian").factors(X, graph=True))
        plan, points = prepared.plan(task, self.method), X.detach()
        with torch.no_grad():
            if plan.method == "products":
                with evaluation(X.device), torch.no_grad():
                    return squared_gradients(prepared.function, points).mean(1)
            source = prepared.source(task, structured=plan.method == "structured")
            return torch.cat([_mean_square(factors) for factors in source.batches(points, plan.layout.batch)])

    def _check_points(self, X: Tensor) -> None:
        check_module(self.module)

    def _working_bytes(self, X: Tensor) -> tuple[int, int]:
        # What is kept of a point, and the point while it is evaluated, for every row and column of a block.
        layout = self._prepared(X).plan(self._task(X[:1], 1, "trace", symmetric=False), self.method).layout
        return 0, layout.memory


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A module for points of one shape and precision, and what two of them told about it."""

    function: ModuleFunction
    structure: Structure

    def plan(self, task: Task, method: str) -> TangentKernelPlan:
        rest = self.function.count(self.structure.rest)
        return choose(self.structure, rest, task, None if method == "auto" else cast("Method", method))

    def source(self, task: Task, *, structured: bool) -> FactorSource:
        if not structured:
            return FactorSource(self.function, (), tuple(self.function.parameters))
        structure = self.structure
        parts: list[tuple[Part, Way]] = [
            (part, way_of(size, structure.outputs, task)) for part, size in structure.parts
        ]
        return FactorSource(self.function, parts, structure.rest)


def _mean_square(factors: list[Factor]) -> Tensor:
    """Mean over outputs of Theta_aa(x, x), (n,)."""
    return torch.stack([factor.squares().mean(1) for factor in factors]).sum(0)
