"""Error of the Gram matrix against size and seconds, for every feature map of the ReLU NTK, on real rows.

Run as `python benchmarks/bench_angle_features.py DATA [--images FOLDER] [--depth 1] [--sizes 256 1024 4096]`. DATA
holds files `NAME.npz` with an array X; the images are IDX files of the MNIST kind. Errors are relative, in the
Frobenius and in the spectral norm, on rows that the map has not seen; seconds are for all rows of a set, the fit apart.
The last lines compare ours with the published random features at equal size, and at equal error. Writes
benchmarks/results/bench_angle_features.json.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _timing import save
from scipy.sparse.linalg import eigsh

from widenet.experiments.image_files import read_images
from widenet.features import (
    FeatureMap,
    NTKRandomFeatures,
    NTKSketch,
    Nystroem,
    PrincipalFeatures,
    ZonalRandomFeatures,
)
from widenet.features.ntk_sketch import relu_tangent

PUBLISHED = "NTKRandomFeatures"
EVALUATED = 1000
MOST_LANDMARKS = 1024  # more take minutes to choose
SMALL = (8, 16, 32, 64, 128)  # at which maps are looked at for the comparison at equal error


def maps(depth: int) -> dict[str, Callable[[int, int], FeatureMap]]:
    """Feature maps by name, as functions of size and seed."""
    kernel = relu_tangent(depth)
    return {
        PUBLISHED: lambda size, seed: NTKRandomFeatures(depth, size, seed=seed),
        "with leverage": lambda size, seed: NTKRandomFeatures(depth, size, leverage=True, seed=seed),
        "NTKSketch": lambda size, seed: NTKSketch(depth, size, 8, seed=seed),
        "ZonalRandomFeatures": lambda size, seed: ZonalRandomFeatures(kernel, size, seed),
        "PrincipalFeatures": lambda size, seed: PrincipalFeatures(kernel, size, seed),
        "Nystroem": lambda size, seed: Nystroem(kernel, size, seed),
    }


def measure(features: FeatureMap, rows: np.ndarray, K: np.ndarray, top: float) -> dict[str, float]:
    """Errors on the last rows of a map that is fitted to the others, and seconds for all of them."""
    start = time.perf_counter()
    fitted = features.fit(rows[:-EVALUATED])
    middle = time.perf_counter()
    fitted.transform(rows)
    end = time.perf_counter()
    Z = fitted.transform(rows[-EVALUATED:].astype(np.float64))
    D = Z @ Z.T - K
    spectral = abs(float(eigsh(D, 1, return_eigenvectors=False)[0]))
    errors = {"frobenius": float(np.linalg.norm(D) / np.linalg.norm(K)), "spectral": spectral / top}
    return {**errors, "fit": middle - start, "transform": end - middle}


def run(
    name: str, rows: np.ndarray, depth: int, sizes: list[int], seeds: int
) -> dict[str, dict[int, dict[str, float]]]:
    """All maps and sizes of one set; means over seeds."""
    order = np.random.default_rng(0).permutation(len(rows))
    rows = rows[order].astype(np.float32)
    K = relu_tangent(depth)(rows[-EVALUATED:].astype(np.float64))
    top = float(eigsh(K, 1, return_eigenvectors=False)[0])
    results: dict[str, dict[int, dict[str, float]]] = {}
    print(f"\n{name}: {rows.shape[0]:,} x {rows.shape[1]}, depth {depth}", flush=True)
    for kind, build in maps(depth).items():
        wanted = [*SMALL, *sizes] if kind in ("NTKSketch", "PrincipalFeatures") else sizes
        wanted = [size for size in wanted if kind != "Nystroem" or size <= MOST_LANDMARKS]
        build(16, 0).fit(rows[:200]).transform(rows[:10])  # compiles
        for size in wanted:
            found = [measure(build(size, seed), rows, K, top) for seed in range(seeds)]
            mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
            results.setdefault(kind, {})[size] = mean
            print(
                f"{kind:20s} {size:6d}  frobenius {mean['frobenius']:.5f}  spectral {mean['spectral']:.5f}"
                f"  fit {mean['fit']:6.2f} s  transform {mean['transform']:6.3f} s",
                flush=True,
            )
    return results


def compare(results: dict[str, dict[int, dict[str, float]]], sizes: list[int]) -> dict[str, list[dict[str, float]]]:
    """Ours against the published map: errors at equal size; seconds at the least size whose error is no larger."""
    compared: dict[str, list[dict[str, float]]] = {}
    for kind in ("NTKSketch", "ZonalRandomFeatures", "PrincipalFeatures"):
        for size in sizes:
            published, ours = results[PUBLISHED][size], results[kind]
            ratio = ours[size]["frobenius"] / published["frobenius"]
            enough = [other for other in sorted(ours) if ours[other]["frobenius"] <= published["frobenius"]]
            line = f"{kind:20s} {size:6d}: {ratio:.3f} of the error"
            entry = {"size": size, "error_ratio": ratio}
            if enough:
                least = ours[enough[0]]
                entry["size_needed"] = enough[0]
                entry["transform_ratio"] = least["transform"] / published["transform"]
                total = least["fit"] + least["transform"], published["fit"] + published["transform"]
                entry["total_ratio"] = total[0] / total[1]
                line += f"; the same error at size {enough[0]} in {entry['transform_ratio']:.3f} of the seconds"
                line += f" ({entry['total_ratio']:.3f} with the fit)"
            print(line, flush=True)
            compared.setdefault(kind, []).append(entry)
    return compared


def main() -> int:
    """Read the sets, measure, compare, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=Path)
    parser.add_argument("--depth", type=int, default=1)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 1024, 4096])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sets", nargs="*", default=["optdigits", "letter", "mushroom"])
    arguments = parser.parse_args()
    sets = {name: np.load(arguments.data / f"{name}.npz")["X"] for name in arguments.sets}
    if arguments.images is not None:
        images = read_images(arguments.images)
        sets["images"] = images.X_train.reshape(len(images.X_train), -1)[:10_000]
    results = {}
    for name, rows in sets.items():
        found = run(name, rows, arguments.depth, arguments.sizes, arguments.seeds)
        results[name] = {"errors": found, "compared": compare(found, arguments.sizes)}
    save("bench_angle_features", {"depth": arguments.depth, "seeds": arguments.seeds, "sets": results})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
