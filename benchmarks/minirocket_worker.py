"""MiniRocket of aeon on one set, for bench_ucr.py: reads an .npz file, prints JSON with its accuracies and seconds."""

import json
import sys
import time
from pathlib import Path

import numpy as np
from aeon.classification.convolution_based import MiniRocketClassifier  # pyright: ignore[reportMissingImports]


def main(path: Path, seeds: int) -> None:
    """Train and score with each seed; Numba compiles on the first, which a run on a few series takes away."""
    with np.load(path, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    warm = MiniRocketClassifier(random_state=0).fit(data["X_train"][:4], np.array([0, 1, 0, 1]))
    warm.predict(data["X_test"][:1])
    accuracies = []
    started = time.perf_counter()
    for seed in range(seeds):
        model = MiniRocketClassifier(random_state=seed).fit(data["X_train"], data["y_train"])
        accuracies.append(100 * float(np.mean(model.predict(data["X_test"]) == data["y_test"])))
    print(json.dumps({"accuracies": accuracies, "seconds": (time.perf_counter() - started) / seeds}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
