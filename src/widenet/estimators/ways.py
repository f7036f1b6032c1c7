"""What an estimator was asked to solve by, and the way that is taken for the rows that came."""

from collections.abc import Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

from widenet._arrays import format_bytes
from widenet.errors import InvalidInput, MemoryLimitExceeded
from widenet.estimators.plan import TIME_LIMIT, Plan, Way, WayName, stated_machine
from widenet.kernels.base import Kernel
from widenet.solvers.auto import Auto
from widenet.solvers.base import Solver
from widenet.solvers.iterative import ConjugateGradient
from widenet.solvers.landmarks import Landmarks

NAMES: tuple[Literal["auto"] | WayName, ...] = ("auto", *get_args(WayName))


@dataclass(frozen=True)
class Request:
    """The argument `solver` of an estimator, read.

    Attributes:
        name: One of `NAMES`; "exact" for a solver of whole Gram matrices.
        solver: The solver of whole Gram matrices that was given, or None.
        settings: Those of the way, as they were given, or None.
        memory_limit: For the choice; None means half of the available memory.
        time_limit: Seconds for the choice, or None for no limit.
    """

    name: WayName | Literal["auto"]
    solver: Solver | None = None
    settings: Landmarks | ConjugateGradient | None = None
    memory_limit: int | float | str | None = None
    time_limit: float | None = TIME_LIMIT


class Taken(NamedTuple):
    """The way that is taken.

    Attributes:
        name: Its name.
        size: Landmarks or features.
        why: The reason, with numbers.
    """

    name: WayName
    size: int
    why: str


def read_request(solver: Any) -> Request:
    """What the argument `solver` asks for.

    Raises:
        InvalidInput: On anything but one of `NAMES` or a solver.
    """
    for name in NAMES:
        if isinstance(solver, str) and solver == name:
            return Request(name)
    if isinstance(solver, Auto):
        return Request("auto", memory_limit=solver.memory_limit, time_limit=solver.time_limit)
    if isinstance(solver, Landmarks):
        return Request("landmarks", settings=solver, memory_limit=solver.memory_limit)
    if isinstance(solver, ConjugateGradient):
        settings = replace(solver, ridge_scale="relative")
        return Request("iterative", settings=settings, memory_limit=solver.memory_limit)
    if not isinstance(solver, Solver) or not is_dataclass(solver):
        raise InvalidInput(f"solver must be one of {', '.join(NAMES)}, or a Solver that is a dataclass", repr(solver))
    return Request("exact", solver=replace(solver, ridge_scale="relative"))


def take(request: Request, kernel: Any, shape: tuple[int, int], outputs: int) -> Taken:
    """The way for rows of that shape.

    Args:
        request: What was asked for.
        kernel: The argument `kernel` of the estimator: any function of two arrays has the exact way alone.
        shape: Rows and columns.
        outputs: Columns of the targets.

    Raises:
        InvalidInput: Where a way is asked by name that the kernel does not have.
        MemoryLimitExceeded: Where the way that was asked for, or every way, takes too much memory.
    """
    if request.name == "exact":
        return Taken("exact", 0, "")
    whole = isinstance(kernel, Kernel | str) or (isinstance(kernel, Sequence) and len(kernel) > 0)
    if not whole:
        if request.name == "auto":
            return Taken("exact", 0, "a kernel that is a function has no other way")
        raise InvalidInput(f"solver={request.name!r} needs a kernel of this package", repr(kernel))
    if request.settings is not None:
        settings = request.settings
        landmarks = isinstance(settings, Landmarks)
        return Taken("landmarks", settings.size, "as asked") if landmarks else Taken("iterative", 0, "as asked")
    plan = stated_machine().plan(*shape, outputs, request.memory_limit, request.time_limit)
    way = plan.choice if request.name == "auto" else plan.way(request.name)
    if way.name != "exact" and way.memory > plan.memory_limit:
        raise MemoryLimitExceeded(
            f"{way.name} for {shape[0]:,} rows take {format_bytes(way.memory)}",
            f"a memory limit of {format_bytes(plan.memory_limit)}",
            "Give more memory, or stream the rows into FeatureRegressor",
        )
    return Taken(way.name, way.size, _reason(plan, way, request))


def _reason(plan: Plan, way: Way, request: Request) -> str:
    if request.name != "auto":
        return "as asked"
    if way.name == "exact":
        return "the exact way fits"
    left = [f"{other.name}: {other.why}" for other in plan.ways[: plan.ways.index(way)] if not other.fits]
    short = "" if way.fits else f", although {way.why}"
    return f"{'; '.join(left)}{short}"
