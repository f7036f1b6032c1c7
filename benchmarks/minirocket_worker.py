"""MiniRocket of aeon for bench_ucr.py: each line read names an .npz file, each answer is JSON: accuracies, seconds."""

import json
import sys
import time
from pathlib import Path

import numpy as np
from aeon.classification.convolution_based import MiniRocketClassifier  # pyright: ignore[reportMissingImports]


def answer(path: Path, seeds: int) -> dict[str, object]:
    """Train and score with each seed."""
    with np.load(path, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    accuracies = []
    started = time.perf_counter()
    for seed in range(seeds):
        model = MiniRocketClassifier(random_state=seed).fit(data["X_train"], data["y_train"])
        accuracies.append(100 * float(np.mean(model.predict(data["X_test"]) == data["y_test"])))
    return {"accuracies": accuracies, "seconds": (time.perf_counter() - started) / seeds}


def main(seeds: int) -> None:
    """Answer until the input ends; a first run on noise takes Numba's time to compile away."""
    noise = np.random.default_rng(0).normal(size=(6, 1, 50))
    MiniRocketClassifier(random_state=0).fit(noise, np.array([0, 1] * 3)).predict(noise)
    for line in sys.stdin:
        print(json.dumps(answer(Path(line.strip()), seeds)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
