"""All images of Fashion-MNIST by explicit features of convolutional kernels, beside landmarks and the exact kernel.

Parts, each printed as it ends:

- sketch: features of a convolutional NTK and ridge regression by its normal equations; the ridge is chosen on the last
  10,000 training images, then all 60,000 are used. The test images are used once, for the accuracy.
- pooled: the same with `CNTKSketch`, global average pooling and nothing else pooled.
- landmarks: the NTK of a fully connected network on landmarks among all 60,000, chosen in the same way.
- exact: the exact kernels of the first two parts on a few hundred images, their time at equal n, and the accuracy that
  the features lose.

    python benchmarks/bench_images_scale.py /usr/share/datasets/fashion-mnist --parts sketch landmarks
"""

import argparse
import time
from dataclasses import dataclass
from math import sqrt
from pathlib import Path

import numpy as np
from _timing import earlier, peak_memory, save
from numpy import ndarray

import widenet as wn
from widenet import AvgPool, Conv, Dense, Flatten, Layer, ReLU
from widenet.experiments.image_files import read_images, shrink
from widenet.solvers.ridge_path import RidgePath

RIDGES = 10.0 ** np.arange(-8, 0.1, 0.5)
BLOCK, CHOOSE = 1000, 10_000
NETWORK: Layer = (
    Conv(3, weight_std=sqrt(2.0))
    >> ReLU()
    >> AvgPool(2)
    >> Conv(3, weight_std=sqrt(2.0))
    >> ReLU()
    >> AvgPool(2, padding="same")
    >> Flatten()
    >> Dense()
)


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one resolution from 0 to 1, with classes."""

    train: ndarray
    labels: ndarray
    test: ndarray
    test_labels: ndarray

    @property
    def targets(self) -> ndarray:
        """One-hot classes minus their mean."""
        return np.eye(10)[self.labels] - 0.1


def read(folder: Path, factor: int, count: int) -> Images:
    """The data set at 1 / factor of its resolution; the first `count` training images."""
    images = read_images(folder)
    train, test = (shrink(part, factor).astype(np.float32) for part in (images.X_train[:count], images.X_test))
    return Images(train, images.y_train[:count].astype(int), test, images.y_test.astype(int))


def network(pooled: bool, size: int, width: int) -> wn.ArchitectureFeatures:
    """The map of a part."""
    kernel = wn.CNTKSketch(size, depth=2).kernel if pooled else wn.NTK(NETWORK)
    return wn.ArchitectureFeatures(kernel, size, degree=2, width=width, lowest=0.0)


def sketch(images: Images, features: wn.ArchitectureFeatures, choose: int) -> dict:
    """Features of all images block by block; accuracy with the ridge that classifies most of the last ones right."""
    fitted, start = features.fit(images.train[:1]), time.perf_counter()
    parts = [wn.NormalEquations(features.size, 10) for _ in range(2)]
    held, cut, mapped = [], len(images.train) - choose, 0.0
    for first in (*range(0, cut, BLOCK), *range(cut, len(images.train), BLOCK)):
        late = first >= cut
        rows = slice(first, min(first + BLOCK, len(images.train) if late else cut))
        begin = time.perf_counter()
        Z = fitted.transform(images.train[rows])
        mapped += time.perf_counter() - begin
        parts[late].add(Z.astype(np.float64), images.targets[rows])
        if late:
            held.append(Z)
    accuracies = [
        accuracy(Z_b, images.labels[cut:]) for Z_b in _outputs(parts[0].ridge_path(RIDGES), np.concatenate(held))
    ]
    best = int(np.argmax(accuracies))
    final = (parts[0] + parts[1]).ridge_path(RIDGES[best : best + 1])
    begin = time.perf_counter()
    test = np.concatenate([fitted.transform(images.test[i : i + BLOCK]) for i in range(0, len(images.test), BLOCK)])
    mapped += time.perf_counter() - begin
    (outputs,) = _outputs(final, test)
    return {
        "test accuracy": accuracy(outputs, images.test_labels),
        "validation accuracy": accuracies[best],
        "relative ridge": RIDGES[best],
        "seconds for features": mapped,
        "milliseconds an image": 1e3 * mapped / (len(images.train) + len(images.test)),
        "seconds in all": time.perf_counter() - start,
        "peak memory, GiB": peak_memory() / 2**30,
    }


def _outputs(path: RidgePath, Z: ndarray) -> list[ndarray]:
    return [Z @ a.astype(Z.dtype) + b for a, b in zip(path.coefficients, path.intercepts, strict=True)]


def accuracy(outputs: ndarray, labels: ndarray) -> float:
    """Share of right classes, in percent."""
    return 100 * float(np.mean(outputs.argmax(1) == labels))


def landmarks(images: Images, count: int, choose: int) -> dict:
    """NTK of three layers on landmarks, with the same choice of the ridge."""
    rows, test = (part.reshape(len(part), -1) for part in (images.train, images.test))
    kernel, start = wn.NTK(wn.fully_connected(2)), time.perf_counter()
    cut = len(rows) - choose
    path = wn.Landmarks(count).path(kernel, rows[:cut], images.targets[:cut], RIDGES)
    fits = [accuracy(path.fit(k).predict(rows[cut:]), images.labels[cut:]) for k in range(len(RIDGES))]
    best = int(np.argmax(fits))
    final = wn.Landmarks(count, method="direct").fit(kernel, rows, images.targets, float(RIDGES[best]))
    return {
        "test accuracy": accuracy(final.predict(test), images.test_labels),
        "validation accuracy": fits[best],
        "relative ridge": RIDGES[best],
        "seconds in all": time.perf_counter() - start,
    }


def exact(images: Images, features: wn.ArchitectureFeatures, count: int) -> dict:
    """Exact kernel and features of the first images alone: seconds, accuracy of both, and the error of the features."""
    X, y = images.train[:count], images.targets[:count]
    choose, labels = images.train[-1000:], images.labels[-1000:]
    results: dict = {"images": count}
    features.kernel(X[:4])  # compiles
    start = time.perf_counter()
    K, cross = features.kernel(X), features.kernel(choose[:count], X)
    results["seconds of the exact kernel, train and as many others"] = time.perf_counter() - start
    fitted = features.fit(X[:1])
    fitted.transform(X[:20])
    start = time.perf_counter()
    Z, others = fitted.transform(X), fitted.transform(choose[:count])
    results["seconds of the features of the same images"] = time.perf_counter() - start
    # The kernel of n images takes n^2 / 2 pairs, their features n images; K above has count^2 / 2 and count^2 of them.
    pair = results["seconds of the exact kernel, train and as many others"] / (1.5 * count**2)
    image = results["seconds of the features of the same images"] / (2 * count)
    for n in (2000, 60_000):
        results[f"times as fast at {n:,} images, by these rates"] = n / 2 * pair / image
    results["relative error of the features"] = float(np.linalg.norm(Z @ Z.T - K) / np.linalg.norm(K))
    for name, gram, rest in (("exact", K, cross), ("features", Z @ Z.T, others @ Z.T)):
        results[f"accuracy with {name}"] = _best(gram.astype(np.float64), rest.astype(np.float64), y, labels[:count])
    return results


def _best(K: ndarray, cross: ndarray, y: ndarray, labels: ndarray) -> float:
    """The largest accuracy over ridges on the images held out: the same freedom for both."""
    values, vectors = np.linalg.eigh(K)
    level, projected = np.trace(K) / len(K), vectors.T @ y
    return max(accuracy(cross @ (vectors @ (projected / (values + r * level)[:, None])), labels) for r in RIDGES)


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the four IDX files of Fashion-MNIST")
    parser.add_argument("--parts", nargs="+", default=["sketch", "pooled", "landmarks", "exact"])
    parser.add_argument("--train", type=int, default=60_000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--landmarks", type=int, default=3000)
    parser.add_argument("--exact", type=int, default=400)
    asked = parser.parse_args()
    results = earlier("images_scale")
    small = read(asked.folder, 2, asked.train)
    choose = min(CHOOSE, asked.train // 6)
    for part in asked.parts:
        if part in ("sketch", "pooled"):
            found = sketch(small, network(part == "pooled", asked.size, asked.width), choose)
        elif part == "landmarks":
            found = landmarks(read(asked.folder, 1, asked.train), asked.landmarks, choose)
        elif part == "exact":
            found = {
                name: exact(small, network(name == "pooled", asked.size, asked.width), asked.exact)
                for name in ("sketch", "pooled")
            }
        else:
            parser.error(f"unknown part {part}")
        count = {"landmarks": asked.landmarks, "exact": asked.exact}.get(part, asked.size)
        results[f"{part}, {count:,}, width {asked.width} of {asked.train:,} images"] = found
        save("images_scale", results)
        print(part, "at 28 x 28" if part == "landmarks" else "at 14 x 14")
        for line in (
            found.items() if part != "exact" else [(f"{n}: {k}", v) for n, r in found.items() for k, v in r.items()]
        ):
            print(f"  {line[0]:60} {line[1]:.4g}", flush=True)


if __name__ == "__main__":
    main()
