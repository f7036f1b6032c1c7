"""Degree-2 sketches by Fourier transforms: complex TensorSRHT, and TensorSketch, which convolves CountSketches."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from widenet.features.count_sketch import write_hashed_sums
from widenet.features.hadamard_products import EXACT_LEAF, HASHED_LEAF, leaf_moments, leaf_rows, leaf_values
from widenet.features.hashing import draw_keys, stream
from widenet.features.rows import Rows
from widenet.features.sketch_cells import draw_cells, sampling_factors
from widenet.features.sketch_tree import Node, SecondMoments, kept_nodes, product_moments

_ONE = SecondMoments(1.0, 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class FourierProducts:
    """Nodes that keep z1[p] z2[q] of the Fourier transforms z = F D a of their operands, as complex numbers.

    What a node writes is split into real and imaginary parts, which is done once, at the end.

    Attributes:
        nodes: In order.
        sizes: Columns that each node writes, even, 0 for none.
        dimension: Coordinates of the rows.
        leaf_size: Numbers of a leaf.
        value_size: Complex numbers of a value.
        owner: With the seed, the source of the random numbers.
        seed: The same.
    """

    nodes: tuple[Node, ...]
    sizes: tuple[int, ...]
    dimension: int
    leaf_size: int
    value_size: int
    owner: str
    seed: int

    @staticmethod
    def of(
        nodes: tuple[Node, ...], sizes: Sequence[int], dimension: int, width: int, source: tuple[str, int]
    ) -> "FourierProducts":
        """Nodes for rows of a dimension, with values of `width` real numbers, from an owner's name and a seed."""
        leaf_size = dimension if dimension <= EXACT_LEAF else max(HASHED_LEAF, width)
        return FourierProducts(nodes, tuple(sizes), dimension, leaf_size, max(1, width // 2), *source)

    @property
    def keys(self) -> np.ndarray:
        """Keys of the leaves."""
        return draw_keys(self.owner, self.seed, max(node.stop for node in self.nodes))

    def moments(self, cosine: float) -> list[SecondMoments]:
        """As of `HadamardProducts`."""
        leaf = leaf_moments(cosine, self.dimension, self.leaf_size)
        kept: list[SecondMoments] = []
        found: list[SecondMoments] = []
        for number, node in enumerate(self.nodes):
            a, b = (_ONE if side is None else leaf if side < 0 else kept[side] for side in (node.left, node.right))
            cells, keep, write, lengths = self.node_cells(number)
            both = [
                product_moments(a, b, sampling_factors(cells[:, :count], *lengths), real=False) if count else _ONE
                for count in (keep, write)
            ]
            kept.append(both[0])
            found.append(both[1] if write else both[0])
        return found

    def write(self, rows: tuple[Rows, Rows | None], weights: Sequence[float], out: Tensor, column: int = 0) -> None:
        """As of `HadamardProducts`."""
        keys, drawn = self.keys, [self.node_cells(number) for number in range(len(self.nodes))]
        for place, block in rows[0].blocks(2 * (len(self.nodes) + 4) * max(self.leaf_size, self.value_size)):
            sources = block, None if rows[1] is None else rows[1].take(place)
            values: list[Tensor] = []
            first = column
            for number, node in enumerate(self.nodes):
                cells, keep, write, _ = drawn[number]
                p, q = (torch.from_numpy(side.astype(np.int64)).to(out.device) for side in cells)
                spectra = [
                    self._leaf_spectrum(sources, keys, operand)
                    if operand < 0
                    else self._value_spectrum(values[operand], node, side)
                    for side, operand in enumerate((node.left, node.right))
                    if operand is not None
                ]
                product = spectra[0][:, p] * (spectra[1][:, q] if len(spectra) == 2 else 1)
                values.append(pad(product[:, :keep] / max(keep, 1) ** 0.5, (0, self.value_size - keep)))
                chosen = product[:, :write] * (weights[number] / max(write, 1) ** 0.5)
                half = self.sizes[number] // 2
                out[place, first : first + half] = pad(chosen.real, (0, half - write))
                out[place, first + half : first + 2 * half] = pad(chosen.imag, (0, half - write))
                first += self.sizes[number]

    def node_cells(self, number: int) -> tuple[np.ndarray, int, int, tuple[int, int]]:
        """Pairs of a node, how many of them it keeps and writes, and the lengths of its spectra."""
        node = self.nodes[number]
        left = self.leaf_size if node.left < 0 else self.value_size
        right = 1 if node.right is None else self.leaf_size if node.right < 0 else self.value_size
        keep = min(self.value_size, left * right) if number in kept_nodes(self.nodes) else 0
        write = min(self.sizes[number] // 2, left * right)
        draws = stream(self.owner, self.seed, 1, node.start, node.stop)
        return draw_cells(left, right, max(keep, write), draws), keep, write, (left, right)

    def _leaf_spectrum(self, rows: tuple[Rows, Rows | None], keys: np.ndarray, operand: int) -> Tensor:
        return torch.fft.fft(leaf_values(leaf_rows(rows, operand), keys[-1 - operand], self.leaf_size))

    def _value_spectrum(self, value: Tensor, node: Node, side: int) -> Tensor:
        draws = stream(self.owner, self.seed, 2, node.start, node.stop, side)
        sign = torch.from_numpy(draws.choice([-1.0, 1.0], self.value_size)).to(value.real)
        return torch.fft.fft(value * sign)


@dataclass(frozen=True, eq=False)
class CountProducts:
    """Nodes that convolve CountSketches of their operands: the CountSketch of the product, by Fourier transforms.

    Attributes:
        nodes: In order.
        sizes: Columns that each node writes, 0 for none.
        dimension: Coordinates of the rows.
        value_size: Numbers of a value.
        owner: With the seed, the source of the random numbers.
        seed: The same.
    """

    nodes: tuple[Node, ...]
    sizes: tuple[int, ...]
    dimension: int
    value_size: int
    owner: str
    seed: int

    def moments(self, cosine: float) -> list[SecondMoments]:
        """As of `HadamardProducts`; a product of m buckets adds at most 1 / m of all pairings but the first."""
        leaf = SecondMoments(cosine, cosine**2, 1.0)
        kept: list[SecondMoments] = []
        found: list[SecondMoments] = []
        for number, node in enumerate(self.nodes):
            a, b = (_ONE if side is None else leaf if side < 0 else kept[side] for side in (node.left, node.right))
            single = node.right is None
            kept.append(_hashed(a, b, self.value_size, single))
            found.append(_hashed(a, b, self.sizes[number], single) if self.sizes[number] else kept[-1])
        return found

    def write(self, rows: tuple[Rows, Rows | None], weights: Sequence[float], out: Tensor, column: int = 0) -> None:
        """As of `HadamardProducts`."""
        keys = draw_keys(self.owner, self.seed, max(node.stop for node in self.nodes))
        kept = kept_nodes(self.nodes)
        for place, block in rows[0].blocks((len(self.nodes) + 6) * max(self.value_size, *self.sizes)):
            sources = block, None if rows[1] is None else rows[1].take(place)
            values: list[Tensor | None] = []
            first = column
            for number, node in enumerate(self.nodes):
                size = self.sizes[number]
                values.append(self._product(sources, values, node, keys, self.value_size) if number in kept else None)
                if size:
                    out[place, first : first + size] = weights[number] * self._product(
                        sources, values, node, keys, size
                    )
                first += size

    def _product(
        self, rows: tuple[Rows, Rows | None], values: list[Tensor | None], node: Node, keys: np.ndarray, size: int
    ) -> Tensor:
        spectra = []
        for side, operand in enumerate((node.left, node.right)):
            if operand is None:
                continue
            if operand < 0:
                source, key = leaf_rows(rows, operand), keys[-1 - operand]
            else:
                value = values[operand]
                assert value is not None
                source = Rows(value, None, False)
                key = stream(self.owner, self.seed, 2, node.start, node.stop, side).integers(2**64, dtype=np.uint64)
            hashed = source.empty(size)
            write_hashed_sums(source, np.array([key]), hashed)
            spectra.append(torch.fft.rfft(hashed))
        product = spectra[0] * spectra[1] if len(spectra) == 2 else spectra[0]
        return torch.fft.irfft(product, n=size)


def _hashed(a: SecondMoments, b: SecondMoments, size: int, single: bool) -> SecondMoments:
    """Moments of a convolution of CountSketches, or of the CountSketch of the first operand alone."""

    def second(first: float, other: float) -> float:
        if single:
            return first + (a.own + first) / size
        pairings = (a.own + 2 * first) * (b.own + 2 * other)
        return first * other + (pairings - first * other) / size

    return SecondMoments(a.mean * b.mean, second(a.cross, b.cross), second(a.own, b.own))
