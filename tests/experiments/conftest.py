"""Fixtures: a small classification set with splits, its two layouts on disk, the published kernels in plain NumPy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

from widenet.experiments.uci_data import Split, SplitSet


@pytest.fixture
def iris_set() -> Callable[..., SplitSet]:
    return _iris_set


@pytest.fixture
def arrays_of() -> Callable[[SplitSet], dict[str, np.ndarray]]:
    return _arrays_of


@pytest.fixture
def write_original() -> Callable[..., Path]:
    return _write_original


def _iris_set(rows: int = 48, name: str = "irises") -> SplitSet:
    """Every third iris or so, standardised, with random halves and four folds."""
    rng = np.random.default_rng(0)
    chosen = rng.permutation(150)[:rows]
    X, y = load_iris(return_X_y=True)
    X = (X[chosen] - X[chosen].mean(0)) / X[chosen].std(0)
    order = rng.permutation(rows)
    folds = np.array_split(rng.permutation(rows), 4)
    return SplitSet(
        name,
        X,
        y[chosen].astype(np.int64),
        Split(order[: rows // 2], order[rows // 2 :]),
        tuple(Split(np.concatenate(folds[:i] + folds[i + 1 :]), fold) for i, fold in enumerate(folds)),
    )


def _arrays_of(data: SplitSet) -> dict[str, np.ndarray]:
    """The arrays of an .npz file."""
    arrays = {"X": data.X, "y": data.y, "select_train": data.select.train, "select_test": data.select.test}
    for i, fold in enumerate(data.folds):
        arrays |= {f"fold{i}_train": fold.train, f"fold{i}_test": fold.test}
    return arrays


def _write_original(folder: Path, data: SplitSet, described: str = "") -> Path:
    """The layout of the 2014 collection."""
    place = folder / data.name
    place.mkdir()
    features = data.X.shape[1]
    (place / f"{data.name}.txt").write_text(
        f"n_arquivos= 1\nfich1= {data.name}_R.dat\nn_entradas= {features}\nn_clases= 3\n{described}"
    )
    lines = ["\t" + "\t".join(f"f{j + 1}" for j in range(features)) + "\tclase"]
    lines += [
        "\t".join([str(i + 1), *(repr(float(v)) for v in row), str(label)])
        for i, (row, label) in enumerate(zip(data.X, data.y, strict=True))
    ]
    (place / f"{data.name}_R.dat").write_text("\n".join(lines) + "\n")
    (place / "conxuntos.dat").write_text(_lines([data.select]))
    (place / "conxuntos_kfold.dat").write_text(_lines(list(data.folds)))
    return place


def _lines(splits: list[Split]) -> str:
    return "".join(" ".join(map(str, rows)) + " \n" for split in splits for rows in split)


@pytest.fixture
def published_kernels() -> Callable[[np.ndarray], dict[tuple[int, int], np.ndarray]]:
    return _published_kernels


def _published_kernels(X: np.ndarray, most_layers: int = 4) -> dict[tuple[int, int], np.ndarray]:
    """The recursion of the public code: c = 1, so a factor 1/2 a layer; norms floored at 1e-9; keys (depth, frozen)."""
    kernels = {}
    for frozen in range(most_layers + 1):
        S = X @ X.T
        T = np.zeros_like(S)
        for depth in range(most_layers + 1):
            if frozen <= depth:
                T = T + S
                kernels[depth, frozen] = T
            norms = np.maximum(np.sqrt(np.outer(np.diag(S), np.diag(S))), 1e-9)
            u = np.clip(S / norms, -1, 1)
            S = norms * (u * (np.pi - np.arccos(u)) + np.sqrt(1 - u * u)) / (2 * np.pi)
            T = T * (np.pi - np.arccos(u)) / (2 * np.pi)
    return kernels
