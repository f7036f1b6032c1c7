"""The small-data protocol over a folder of sets, and its NTK column beside a reference run, set by set.

Run as `python benchmarks/bench_uci_protocol.py FOLDER STORE [--reference accuracies.json] [--stored] [--rows 5000]`.

Results are kept in STORE one by one; a run that was cut off goes on where it stopped, and `--stored` prints what is
there without running anything. The reference is a JSON object of accuracies in percent by set. Where a set differs
from it, every candidate that tied in the selection is scored on the folds, to show whether the order of the grid
explains the difference.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from widenet.errors import WidenetError
from widenet.experiments.kernel_grids import Family, NetworkFamily, all_families
from widenet.experiments.learners import LeastSquares, SupportVectors
from widenet.experiments.uci_data import SplitSet, read_collection
from widenet.experiments.uci_protocol import Record, gram, run_protocol, stored_records
from widenet.experiments.uci_tables import scoreboard, summary_table

LEARNERS = (SupportVectors(), LeastSquares())


def tied_scores(data: SplitSet, record: Record) -> dict[str, float]:
    """Mean fold accuracy of every kernel and C that shared the best validation accuracy, in the order of the grid."""
    counts = np.array(record.correct)
    points = NetworkFamily().points(data.X.shape[1])
    scores = {}
    for i, j in np.argwhere(counts == counts.max()):
        C = LEARNERS[0].strengths[j]
        K = gram(points[i].kernel, data.X)
        hits = [np.mean(LEARNERS[0].predict(K, data.y, fold, (C,))[0] == data.y[fold.test]) for fold in data.folds]
        frozen, depth = _frozen_depth(int(i))
        scores[f"depth {depth}, {frozen} frozen, C {C:g}"] = 100 * float(np.mean(hits))
    return scores


def compare_with(reference: dict[str, float], sets: dict[str, SplitSet], records: list[Record]) -> None:
    """Print the NTK column against the reference run, and what ties explain."""
    found = {r.name: r for r in records if (r.family, r.learner) == ("NTK", "SVM") and r.name in reference}
    ours = {name: record.choices["first"].accuracy for name, record in found.items()}
    same = [name for name in ours if abs(ours[name] - reference[name]) < 1e-3]
    print(f"\nNTK, SVM: {len(same)} of {len(ours)} sets equal the reference run to its four decimals")
    if ours:
        means = np.mean(list(ours.values())), np.mean([reference[name] for name in ours])
        print(f"mean over these {len(ours)}: {means[0]:.3f}, reference {means[1]:.3f}")
    print("not run:", ", ".join(name for name in reference if name not in found) or "none")
    for name in sorted(set(ours) - set(same)):
        print(f"{name}: {ours[name]:.4f}, reference {reference[name]:.4f}; tied in the selection:")
        for candidate, score in tied_scores(sets[name], found[name]).items():
            print(f"    {candidate}: {score:.4f}")


def main() -> int:
    """Run or read, and print."""
    parser = argparse.ArgumentParser(description="Run the small-data protocol over a folder of sets and print it")
    parser.add_argument("folder", type=Path)
    parser.add_argument("store", type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--stored", action="store_true", help="print what is stored, run nothing")
    parser.add_argument("--families", help="names of families, apart by commas; all of them if left out")
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--jobs", type=int, default=1)
    arguments = parser.parse_args()
    families = _families(arguments.families)
    collection = read_collection(arguments.folder, arguments.rows)
    if arguments.stored:
        records = stored_records(collection.sets, families, LEARNERS, arguments.store)
    else:
        records = run_protocol(collection.sets, families, LEARNERS, arguments.store, arguments.jobs, _print_progress)
    print(summary_table(scoreboard(records), families, LEARNERS).markdown())
    if arguments.reference is not None:
        reference = json.loads(arguments.reference.read_text(encoding="utf-8"))
        compare_with(reference, {data.name: data for data in collection.sets}, records)
    return 0


def _families(names: str | None) -> tuple[Family, ...]:
    known = {family.name: family for family in all_families()}
    wanted = list(known) if names is None else names.split(",")
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"unknown families: {', '.join(unknown)}; known: {', '.join(known)}")
    return tuple(known[name] for name in wanted)


def _frozen_depth(index: int) -> tuple[int, int]:
    most = NetworkFamily().most_layers
    return [(frozen, depth) for frozen in range(most + 1) for depth in range(frozen, most + 1)][index]


def _print_progress(text: str, done: int, total: int) -> None:
    print(f"{done} of {total} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WidenetError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
