"""Fashion-MNIST or the like: accuracy and time of convolutional kernels beside the dense one.

Run as `python benchmarks/bench_images.py FOLDER`, where FOLDER holds the four IDX files; 2,000 training and 2,000 test
images by default. The convolutional kernel with global average pooling reads images of half the height and width.
Writes benchmarks/results/bench_images.json after every kernel.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from widenet import NTK, KernelClassifier, convolutional, fully_connected
from widenet.experiments.image_files import read_images, shrink
from widenet.kernels.base import Kernel

RESULTS = Path(__file__).parent / "results" / "bench_images.json"


def single(kernel: Kernel) -> Callable[..., np.ndarray]:
    """The kernel in single precision, as the pixels came: estimators ask for float64 up to 2,000 rows."""

    def values(X: np.ndarray, Y: np.ndarray | None = None) -> np.ndarray:
        return np.asarray(kernel(X.astype(np.float32), None if Y is None else Y.astype(np.float32)))

    return values


def measure(kernel: Kernel, data: tuple[np.ndarray, ...]) -> dict[str, float]:
    """Accuracy on the test images of a classifier whose ridge its leave-one-out error chose, and seconds."""
    X_train, y_train, X_test, y_test = data
    start = time.perf_counter()
    model = KernelClassifier(kernel=single(kernel), standardize=False).fit(X_train.reshape(len(X_train), -1), y_train)
    fitted = time.perf_counter()
    right = model.predict(X_test.reshape(len(X_test), -1)) == y_test
    accuracy = float(right.mean())
    return {
        "accuracy": accuracy,
        "standard_error": (accuracy * (1 - accuracy) / len(right)) ** 0.5,
        "ridge": float(model.ridge_),
        "fit_s": fitted - start,
        "predict_s": time.perf_counter() - fitted,
        "peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> int:
    """Read, measure each kernel, print, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--test", type=int, default=2000)
    parser.add_argument("--depth", type=int, default=3, help="activations of every network")
    parser.add_argument("--only", default="", help="measure only the networks whose names hold this")
    arguments = parser.parse_args()
    images = read_images(arguments.folder)
    whole = images.X_train[: arguments.train], images.X_test[: arguments.test]
    half = tuple(shrink(part, 2) for part in whole)
    labels = images.y_train[: arguments.train], images.y_test[: arguments.test]
    size, small = whole[0].shape[1:], half[0].shape[1:]
    depth = arguments.depth
    dense = NTK(fully_connected(depth, scaling="he"))
    cases = [
        (f"FC-NTK, {size[0]} x {size[1]}", dense, whole),
        (f"FC-NTK, {small[0]} x {small[1]}", dense, half),
        (f"CNN-Vec, {size[0]} x {size[1]}", NTK(convolutional(depth, "flatten"), input_shape=size), whole),
        (f"CNN-Vec, {small[0]} x {small[1]}", NTK(convolutional(depth, "flatten"), input_shape=small), half),
        (f"CNTK-GAP, {small[0]} x {small[1]}", NTK(convolutional(depth, "average"), input_shape=small), half),
    ]
    results: dict[str, Any] = {
        "images": [len(part) for part in whole],
        "depth": depth,
        "threads": torch.get_num_threads(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    for name, kernel, (X_train, X_test) in (case for case in cases if arguments.only in case[0]):
        results[name] = measure(kernel, (X_train, labels[0], X_test, labels[1]))
        print(name, {key: round(value, 4) for key, value in results[name].items()}, flush=True)
        RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
