"""Products of signed Walsh-Hadamard transforms (degree-2 TensorSRHT), as a program that a fused loop runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from widenet.features import _fused_sketch
from widenet.features.count_sketch import write_hashed_sums
from widenet.features.hashing import draw_keys, mixed, signs, stream
from widenet.features.rows import Rows
from widenet.features.sketch_cells import draw_cells, sampling_factors
from widenet.features.sketch_tree import Node, SecondMoments, kept_nodes, product_moments
from widenet.kernels._fused_lanes import lanes
from widenet.networks.hadamard import block_size, spread, walsh_hadamard

EXACT_LEAF = 4096  # rows of more numbers are hashed first
HASHED_LEAF = 1024
NO_OPERAND = -(2**30)


def leaf_length(dimension: int, width: int) -> int:
    """Numbers of a leaf: a power of two at or above the dimension up to 4,096, else of 1,024 or the width."""
    padded = block_size(dimension)
    return padded if padded <= EXACT_LEAF else max(HASHED_LEAF, block_size(width))


def leaf_moments(cosine: float, dimension: int, length: int) -> SecondMoments:
    """Second moments of a leaf, whose coordinates stand alone or are hashed."""
    if dimension <= length:
        return SecondMoments(cosine, cosine**2, 1.0)
    return SecondMoments(cosine, cosine**2 + (1 + cosine**2) / length, 1 + 2 / length)


def leaf_values(rows: Rows, key: np.uint64, length: int) -> Tensor:
    """Signed coordinates of rows (n, d), hashed where they are more than the length: (n, length)."""
    if rows.shape[1] > length:
        out = rows.empty(length)
        write_hashed_sums(rows, np.array([key]), out)
        return out
    sign = signs(mixed(key, np.arange(rows.shape[1])))
    if rows.dense is not None:
        return pad(rows.dense * torch.from_numpy(sign).to(rows.dense), (0, length - rows.shape[1]))
    out, csr = rows.empty(length).zero_(), rows.csr
    out.numpy()[np.repeat(np.arange(len(out)), np.diff(csr.indptr)), csr.indices] = sign[csr.indices] * csr.data
    return out


def leaf_rows(rows: tuple[Rows, Rows | None], operand: int) -> Rows:
    """The rows of a leaf: the second ones for odd leaves, where there are any."""
    return rows[1] if rows[1] is not None and operand % 2 == 0 else rows[0]


@dataclass(frozen=True, eq=False)
class HadamardProducts:
    """Nodes with their random numbers; a node keeps z1[p] z2[q] of the spectra z = H D a of its operands.

    Attributes:
        nodes: In order.
        sizes: Columns that each node writes, 0 for none.
        table: What the loop reads, as `_fused_sketch.products` says, (N, 7).
        signs: D of operands that are values, +-1, (2 N, W).
        cells: The pairs (p, q) of all nodes, (2, C).
        keys: Of the leaves.
        leaf_size: Numbers of a leaf.
        value_size: Numbers W of a value.
        dimension: Coordinates of the rows.
    """

    nodes: tuple[Node, ...]
    sizes: tuple[int, ...]
    table: np.ndarray
    signs: np.ndarray
    cells: np.ndarray
    keys: np.ndarray
    leaf_size: int
    value_size: int
    dimension: int

    def node_cells(self, number: int, count: int) -> np.ndarray:
        """The first pairs of a node, (2, count)."""
        start = self.table[number, 2]
        return self.cells[:, start : start + count]

    def lengths(self, number: int) -> tuple[int, int]:
        """Numbers of the two spectra of a node."""
        left, right = self.nodes[number].left, self.nodes[number].right
        return (
            self.leaf_size if left < 0 else self.value_size,
            1 if right is None else self.leaf_size if right < 0 else self.value_size,
        )

    def moments(self, cosine: float) -> list[SecondMoments]:
        """Bounds of the second moments of what each node writes, or keeps where it writes nothing."""
        leaf = leaf_moments(cosine, self.dimension, self.leaf_size)
        one = SecondMoments(1.0, 1.0, 1.0)
        kept: list[SecondMoments] = []
        found: list[SecondMoments] = []
        for number, node in enumerate(self.nodes):
            operands = (node.left, node.right)
            a, b = (one if side is None else leaf if side < 0 else kept[side] for side in operands)
            lengths = self.lengths(number)
            counts = int(self.table[number, 3]), int(self.table[number, 5])
            both = [
                product_moments(a, b, sampling_factors(self.node_cells(number, count), *lengths)) if count else one
                for count in counts
            ]
            kept.append(both[0])
            found.append(both[1] if counts[1] else both[0])
        return found

    def write(self, rows: tuple[Rows, Rows | None], weights: Sequence[float], out: Tensor, column: int = 0) -> None:
        """Write the products of all nodes, each times its weight, to columns of `out` from one on.

        Args:
            rows: The rows of all leaves, or of the even and of the odd ones.
            weights: One a node.
            out: Result, (n, columns), contiguous.
            column: The first one to write to.
        """
        factors = np.zeros((len(self.nodes), 2))
        for number, (weight, size) in enumerate(zip(weights, self.sizes, strict=True)):
            kept, written, start = (int(value) for value in self.table[number, [3, 5, 6]])
            factors[number] = (1 / max(kept, 1) ** 0.5, weight / max(written, 1) ** 0.5)
            if written < size:
                out[:, column + start + written : column + start + size] = 0
        if out.device.type == "cpu":
            _write_fused(self, rows, factors, out, column)
        else:
            _write_on_device(self, rows, factors, out, column)


def hadamard_products(
    nodes: tuple[Node, ...],
    sizes: Sequence[int],
    dimension: int,
    lengths: tuple[int, int],
    source: tuple[str, int],
) -> HadamardProducts:
    """Draw the random numbers of nodes.

    Args:
        nodes: In order.
        sizes: Columns that each of them writes, one behind the other, 0 for none.
        dimension: Coordinates of the rows.
        lengths: Numbers of a leaf and of a value, powers of two.
        source: Name of the owner and seed, of which the random numbers come.
    """
    owner, seed = source
    leaf_size, value_size = lengths
    kept, table, cells, column, first = kept_nodes(nodes), [], [], 0, 0
    slots = {number: slot for slot, number in enumerate(sorted(kept))}
    all_signs = np.ones((2 * len(nodes), value_size), np.int8)
    for number, node in enumerate(nodes):
        draws = stream(owner, seed, 1, node.start, node.stop)
        all_signs[2 * number : 2 * number + 2] = draws.choice(np.array([-1, 1], np.int8), (2, value_size))
        left = leaf_size if node.left < 0 else value_size
        right = 1 if node.right is None else leaf_size if node.right < 0 else value_size
        keep = min(value_size, left * right) if number in kept else 0
        write = min(sizes[number], left * right)
        cells.append(draw_cells(left, right, max(keep, write), draws))
        operands = [NO_OPERAND if side is None else slots.get(side, side) for side in (node.left, node.right)]
        table.append([*operands, first, keep, slots.get(number, 0), write, column])
        column, first = column + sizes[number], first + cells[-1].shape[1]
    keys = draw_keys(owner, seed, max(node.stop for node in nodes))
    packed = np.array(table, np.int64), all_signs, np.ascontiguousarray(np.concatenate(cells, 1)), keys
    return HadamardProducts(nodes, tuple(sizes), *packed, leaf_size, value_size, dimension)


def _write_fused(
    program: HadamardProducts, rows: tuple[Rows, Rows | None], factors: np.ndarray, out: Tensor, column: int
) -> None:
    result = out.numpy()
    dtype, none = result.dtype, np.empty(0, np.int32)
    first, second = rows
    if first.dense is None:
        empty = np.empty((0, 0), dtype)
        arrays = empty, empty, first.csr.data, first.csr.indices, first.csr.indptr
    else:
        other = np.empty((0, 0), dtype) if second is None or second.dense is None else second.dense.numpy()
        arrays = first.dense.numpy(), other, np.empty(0, dtype), none, none
    table = program.table.copy()
    table[:, 6] += column
    packed = table, program.signs.astype(dtype), program.cells, program.keys, factors.astype(dtype)
    slots = max(1, int((program.table[:, 3] > 0).sum()))
    sizes = program.leaf_size, program.value_size, slots, program.dimension
    tiles = -(-len(result) // lanes(dtype))
    spread(lambda bounds: _fused_sketch.products(arrays, packed, sizes, result, bounds), tiles)


def _write_on_device(
    program: HadamardProducts, rows: tuple[Rows, Rows | None], factors: np.ndarray, out: Tensor, column: int
) -> None:
    """The same by torch's operations, in blocks of rows."""
    numbers = (len(program.nodes) + 4) * max(program.leaf_size, program.value_size)
    for place, block in rows[0].blocks(numbers):
        second = None if rows[1] is None else rows[1].take(place)
        values: list[Tensor] = []
        for number, node in enumerate(program.nodes):
            left = _spectrum(program, (block, second), values, number, 0)
            right = (
                left.new_ones(1, 1) if node.right is None else _spectrum(program, (block, second), values, number, 1)
            )
            p, q = (
                torch.from_numpy(side.astype(np.int64)).to(out.device)
                for side in program.node_cells(number, int(program.table[number, [3, 5]].max()))
            )
            product = left[:, p] * right[:, q]
            keep, written, start = (int(value) for value in program.table[number, [3, 5, 6]])
            values.append(pad(product[:, :keep] * float(factors[number, 0]), (0, program.value_size - keep)))
            first = column + start
            out[place, first : first + written] = product[:, :written] * float(factors[number, 1])


def _spectrum(
    program: HadamardProducts, rows: tuple[Rows, Rows | None], values: list[Tensor], number: int, side: int
) -> Tensor:
    """H D a of an operand."""
    operand = (program.nodes[number].left, program.nodes[number].right)[side]
    assert operand is not None
    if operand >= 0:
        sign = torch.from_numpy(program.signs[2 * number + side]).to(values[operand])
        return walsh_hadamard(values[operand] * sign)
    return walsh_hadamard(leaf_values(leaf_rows(rows, operand), program.keys[-1 - operand], program.leaf_size))
