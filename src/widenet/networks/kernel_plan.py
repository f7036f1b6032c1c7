"""The choice between the ways to a tangent kernel, which can be asked before it is used."""

from dataclasses import dataclass
from typing import Literal, get_args

from widenet._arrays import format_bytes
from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.networks.kernel_costs import (
    Layout,
    Task,
    jacobian_work,
    lay_out,
    products_work,
    structured_work,
    way_of,
)
from widenet.networks.module_structure import Structure

Method = Literal["structured", "jacobian", "products"]


@dataclass(frozen=True)
class TangentKernelPlan:
    """How a tangent kernel is computed, and why.

    Attributes:
        method: "structured", "jacobian" or "products".
        flops: Floating point operations of products and convolutions in all.
        memory: Bytes at the peak, beside the module and the points.
        why: The reason, with the numbers of the other methods.
        parts: Groups of parameters, and how each enters: "outer products" of inputs and derivatives of a layer,
            "pairs of positions" of them, "gradients" formed of them, at once or "in slices", "jacobian" or "products".
        layout: Points in a block, and the figures of the chosen method.
    """

    method: Method
    flops: float
    memory: int
    why: str
    parts: tuple[tuple[tuple[str, ...], str], ...]
    layout: Layout


def choose(structure: Structure, rest: int, task: Task, method: Method | None) -> TangentKernelPlan:
    """The method of least estimated time among those that fit the memory limit, or the one that is asked for.

    Args:
        structure: The module.
        rest: Number of parameters without structured derivatives.
        task: What is asked.
        method: A method, or None for the best.

    Raises:
        InvalidInput: If structured derivatives are asked for, and no layer has them.
        MemoryLimitExceeded: Where nothing fits.
    """
    if method == "structured" and not structure.parts:
        raise InvalidInput(
            "structured derivatives need layers that they are known for",
            "a module without Linear, Conv or normalisation layers whose parameters are asked for",
            "Choose method='auto'",
        )
    works = {
        "structured": structured_work(structure, rest, task),
        "jacobian": jacobian_work(structure, structure.parameters, task),
        "products": products_work(structure, task),
    }
    layouts: dict[Method, Layout] = {}
    refusals: dict[Method, MemoryLimitExceeded] = {}
    for name in get_args(Method):
        if name == "structured" and not structure.parts:
            continue
        try:
            layouts[name] = lay_out(works[name], structure, task)
        except MemoryLimitExceeded as error:
            refusals[name] = error
    if method is not None and method in refusals:
        raise refusals[method]
    if not layouts:
        raise refusals[get_args(Method)[-1]]
    best = method or min(layouts, key=lambda name: layouts[name].seconds)
    layout = layouts[best]
    why = _reason(best, method is not None, layouts, refusals)
    return TangentKernelPlan(best, layout.flops, layout.memory, why, _described(structure, task, best), layout)


def _reason(
    best: Method, asked: bool, layouts: dict[Method, Layout], refusals: dict[Method, MemoryLimitExceeded]
) -> str:
    def figures(name: Method) -> str:
        return f"{layouts[name].flops:.3g} flops in {format_bytes(layouts[name].memory)}"

    others = [f"{name} would take {figures(name)}" for name in layouts if name != best]
    others += [f"{name} does not fit the memory limit" for name in refusals]
    start = f"{best}{' as asked' if asked else ''}: {figures(best)}"
    return "; ".join([start, *others])


def _described(structure: Structure, task: Task, method: Method) -> tuple[tuple[tuple[str, ...], str], ...]:
    if method != "structured":
        return ((tuple(name for part, _ in structure.parts for name in part.names) + structure.rest, method),)
    found = [(part.names, way_of(size, structure.outputs, task)) for part, size in structure.parts]
    return (*found, (structure.rest, "jacobian")) if structure.rest else tuple(found)
