"""Which products a sketch of powers is made of: the nodes of a binary tree, or of a chain, over fresh copies of x."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Shape = Literal["tree", "chain"]


@dataclass(frozen=True)
class Node:
    """A product of two operands: the tensor power of x over the leaves from `start` up to `stop`.

    Attributes:
        start: First leaf.
        stop: The one after the last.
        left: First operand: the number of an earlier node, or -1 - t for leaf t.
        right: Second operand, or None for the leaf itself, the first power.
    """

    start: int
    stop: int
    left: int
    right: int | None

    @property
    def degree(self) -> int:
        """Of the power."""
        return self.stop - self.start


def plan_nodes(degrees: Sequence[int], shape: Shape) -> tuple[Node, ...]:
    """The nodes of the powers of some degrees, operands first; power j is the node over the leaves 0 to j.

    In a tree a node over s leaves has the largest power of two below s of them on its left. That is the tree of the
    least power of two at or above the largest degree with leaves e_1 behind the first j, where a product with e_1
    alone passes the other operand on; subtrees are shared by all degrees. In a chain power j is power j - 1 times
    leaf j - 1.

    Args:
        degrees: Wanted, each 1 or more.
        shape: Of the products.
    """
    nodes: list[Node] = []
    places: dict[tuple[int, int], int] = {}

    def operand(start: int, stop: int) -> int:
        return -1 - start if stop - start == 1 else place(start, stop)

    def place(start: int, stop: int) -> int:
        if (start, stop) not in places:
            count = stop - start
            if count == 1:
                node = Node(start, stop, -1 - start, None)
            else:
                middle = stop - 1 if shape == "chain" else start + (1 << ((count - 1).bit_length() - 1))
                node = Node(start, stop, operand(start, middle), operand(middle, stop))
            places[start, stop] = len(nodes)
            nodes.append(node)
        return places[start, stop]

    for degree in sorted(set(degrees)):
        place(0, degree)
    return tuple(nodes)


def kept_nodes(nodes: Sequence[Node]) -> set[int]:
    """The nodes that are operands of others."""
    return {operand for node in nodes for operand in (node.left, node.right) if operand is not None and operand >= 0}


@dataclass(frozen=True)
class SecondMoments:
    """Bounds of E <S x, S y>^2 for unit rows of one cosine.

    Attributes:
        mean: E <S x, S y>, the cosine to a power.
        cross: Bound of E <S x, S y>^2.
        own: Bound of E |S x|^4.
    """

    mean: float
    cross: float
    own: float


def product_moments(
    a: SecondMoments, b: SecondMoments, factors: tuple[float, float, float], real: bool = True
) -> SecondMoments:
    """Moments of a product of which some pairs of numbers (A_p, B_q) are kept, with E A = <a, a'>, E B = <b, b'>.

    Over the signs, the variance of A among its numbers is at most E |a|^2 |a'|^2 + E <a, a'>^2 for real spectra, and
    E |a|^2 |a'|^2 for those of a Fourier transform.

    Args:
        a: First operand.
        b: Second operand.
        factors: As of `sampling_factors`.
        real: Whether the spectra are real.
    """
    pairs, left, right = factors

    def second(first: float, other: float) -> float:
        spread, counter = a.own + real * first, b.own + real * other
        return first * other + pairs * spread * counter + left * spread * other + right * first * counter

    return SecondMoments(a.mean * b.mean, second(a.cross, b.cross), second(a.own, b.own))
