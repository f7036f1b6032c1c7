"""Errors of all feature maps on real data against size, beside the published random features and Monte Carlo.

python benchmarks/bench_sketching.py [folder of .npz files] [folder of IDX images] [--again]

For optdigits, letter and mushroom (one-hot, as CSR) of the first folder and the images of the second, or scikit-learn's
digits without any: relative Frobenius and spectral error of the Gram matrix of the NTK of two hidden layers at 256,
1,024, 4,096 and 16,384 features, slopes, times, and ratios to `NTKRandomFeatures`; 2,000 rows, 2 seeds. Then the errors
of Hermite series by activation and degree. A set that is done is saved and not measured again but for `--again`; after
150 s no further set is begun: run it again to go on.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from _timing import earlier, save

from widenet.experiments.result_tables import ResultTable
from widenet.experiments.sketching_activations import activation_table
from widenet.experiments.sketching_data import digits, read_problems
from widenet.experiments.sketching_errors import SMALL, Problem, error_table, goal_table, measure, time_table
from widenet.experiments.sketching_maps import median_distance, methods

SETS = ("optdigits", "letter", "mushroom")
SIZES, ROWS, SEEDS, DEPTH = (256, 1024, 4096, 16384), 2000, 2, 2
BUDGET = 150.0  # seconds after which no set is begun


def problems(folders: list[Path]) -> Iterator[Problem]:
    """The sets of the folders, or the digits."""
    if not folders:
        yield digits(ROWS)[0]
    for folder in folders:
        for train, _ in read_problems(folder, ROWS):
            if train.name in SETS or not list(folder.glob("*.npz")):
                yield train


def tables_of(problem: Problem) -> list[ResultTable]:
    """All tables of one set."""
    maps = methods(DEPTH, len(problem.X), median_distance(problem.X))
    measured = measure(
        problem, maps, SIZES, SEEDS, lambda name: print(f"  {name}", file=sys.stderr, flush=True), small=SMALL
    )
    errors = [error_table(problem, measured, norm) for norm in ("frobenius", "spectral")]
    return [goal_table(problem, measured), *errors, time_table(problem, measured)]


def main(arguments: list[str]) -> None:
    """Print the tables, those of earlier runs too, and save them."""
    done = {} if "--again" in arguments else earlier("bench_sketching")
    start = time.perf_counter()
    left = []
    if "activations" not in done:
        done["activations"] = [activation_table((1024, 65536)).markdown()]
        save("bench_sketching", done)
    for problem in problems([Path(argument) for argument in arguments if argument != "--again"]):
        if problem.name in done:
            continue
        if time.perf_counter() - start > BUDGET:
            left.append(problem.name)
            continue
        done[problem.name] = [table.markdown() for table in tables_of(problem)]
        save("bench_sketching", done)
    for texts in done.values():
        print("\n\n".join(texts), end="\n\n")
    if left:
        print(f"still to do: {', '.join(left)}; run the same command again")


if __name__ == "__main__":
    main(sys.argv[1:])
