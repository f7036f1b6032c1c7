"""The small-data protocol against the published arithmetic in plain NumPy, and against plain loops."""

import json

import numpy as np
import pytest
from sklearn.svm import SVC

from widenet.errors import FingerprintMismatch, InvalidFile
from widenet.experiments.kernel_grids import ExponentialFamily, GridPoint, NetworkFamily
from widenet.experiments.learners import LeastSquares, SupportVectors
from widenet.experiments.uci_data import SplitSet
from widenet.experiments.uci_protocol import choose, evaluate, gram, run_protocol, stored_records
from widenet.kernels.stationary import Laplace
from widenet.kernels.wrappers import Homogeneous


def test_protocol_is_the_published_one_in_plain_loops(iris_set, published_kernels):
    """Selection on the one split with strict improvement, then the mean over four folds, with the public recursion."""
    data, y = iris_set(), iris_set().y
    kernels = published_kernels(data.X)
    best, chosen, counts = -1, (0, 0, 0.0), []
    for frozen in range(5):
        for depth in range(frozen, 5):
            K, row = kernels[depth, frozen], []
            for power in range(-2, 5):
                C = 10.0**power
                a, b = data.select
                right = int((SVC(kernel="precomputed", C=C).fit(K[a][:, a], y[a]).predict(K[b][:, a]) == y[b]).sum())
                row.append(right)
                if right > best:
                    best, chosen = right, (depth, frozen, C)
            counts.append(tuple(row))
    depth, frozen, C = chosen
    K = kernels[depth, frozen]
    folds = [
        100 * np.mean(SVC(kernel="precomputed", C=C).fit(K[a][:, a], y[a]).predict(K[b][:, a]) == y[b])
        for a, b in data.folds
    ]
    (record,) = evaluate(data, NetworkFamily(), [SupportVectors()])
    assert record.correct == tuple(counts)
    assert record.choices["first"].strength == C
    assert record.choices["first"].tied == sum(row.count(best) for row in counts)
    assert record.choices["first"].folds == pytest.approx(folds, rel=1e-13)
    assert record.choices["first"].accuracy == pytest.approx(sum(folds) / 4, rel=1e-13)
    assert record.seconds > 0


def points_at(*places: float) -> list[GridPoint]:
    return [GridPoint(Laplace(1.0), (place,)) for place in places]


@pytest.mark.parametrize(
    ("correct", "first", "middle"),
    [
        ([[5, 1, 1], [1, 1, 1], [1, 1, 1]], (0, 0), (0, 0)),  # one best
        ([[5, 1, 1], [1, 5, 1], [1, 1, 5]], (0, 0), (1, 1)),  # the middle itself
        ([[1, 1, 5], [5, 1, 1], [1, 1, 1]], (0, 2), (1, 0)),  # distances 2 and 1
        ([[1, 5, 1], [5, 1, 1], [1, 1, 1]], (0, 1), (1, 0)),  # equal distance: the more regularised
        ([[1, 5, 1], [1, 1, 1], [1, 5, 1]], (0, 1), (0, 1)),  # equal strength too: the first
        ([[1, 1, 1], [1, 1, 5], [5, 1, 1]], (1, 2), (1, 2)),
    ],
)
def test_rules_of_selection(correct, first, middle):
    points = points_at(-1.0, 0.0, 1.0)
    assert choose(np.array(correct), points, "first") == first
    assert choose(np.array(correct), points, "middle") == middle


def test_zero_rows_have_no_direction_but_a_limit():
    X = np.array([[1.0, 2.0], [0.0, 0.0], [3.0, -1.0]])
    K = gram(Homogeneous(Laplace(1.0)), X)
    assert K[1].tolist() == K[:, 1].tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_array_equal(K[np.ix_([0, 2], [0, 2])], Homogeneous(Laplace(1.0))(X[[0, 2]]))
    np.testing.assert_array_equal(gram(Laplace(1.0), X), Laplace(1.0)(X))


FAMILIES = (ExponentialFamily(1.0, octaves=1), ExponentialFamily(2.0, octaves=1))
LEARNERS = (SupportVectors((0.1, 10.0)), LeastSquares((1.0, 0.01)))


def outcome(records):
    return {(r.name, r.family, r.learner): (r.correct, r.choices) for r in records}


def test_stored_results_are_read_back_and_only_missing_ones_run(tmp_path, iris_set):
    sets = [iris_set(40, "a"), iris_set(48, "b")]
    whole = run_protocol(sets, FAMILIES, LEARNERS, tmp_path)
    assert len(whole) == 8
    assert outcome(stored_records(sets, FAMILIES, LEARNERS, tmp_path)) == outcome(whole)
    (lost,) = tmp_path.glob("b--Gaussian--ridge.json")
    lost.unlink()
    kept = tmp_path / "b--Gaussian--SVM.json"
    before = kept.stat().st_mtime_ns
    calls = []
    again = run_protocol(sets, FAMILIES, LEARNERS, tmp_path, progress=lambda *call: calls.append(call))
    assert outcome(again) == outcome(whole)
    assert calls == [("", 3, 4), ("b, Gaussian", 4, 4)]
    assert kept.stat().st_mtime_ns == before


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, iris_set):
    sets = [iris_set(40, "a"), iris_set(48, "b")]

    def stop(text, done, total):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_protocol(sets, FAMILIES, LEARNERS, tmp_path, progress=stop)
    kept = stored_records(sets, FAMILIES, LEARNERS, tmp_path)
    assert 2 <= len(kept) < 8
    assert all(not path.name.startswith(".") for path in tmp_path.iterdir())
    fresh = run_protocol(sets, FAMILIES, LEARNERS, tmp_path / "fresh")
    assert outcome(run_protocol(sets, FAMILIES, LEARNERS, tmp_path)) == outcome(fresh)


def test_results_of_other_data_or_grids_are_refused(tmp_path, iris_set):
    data = iris_set()
    run_protocol([data], FAMILIES[:1], LEARNERS[:1], tmp_path)
    X = data.X.copy()
    X[0, 0] += 1e-12
    moved = SplitSet(data.name, X, data.y, data.select, data.folds)
    swapped = SplitSet(data.name, data.X, data.y, data.select, data.folds[::-1])
    for other in (moved, swapped):
        with pytest.raises(FingerprintMismatch, match="irises--Laplace--SVM"):
            run_protocol([other], FAMILIES[:1], LEARNERS[:1], tmp_path)
    for families, learners in (
        ([ExponentialFamily(1.0, octaves=2)], LEARNERS[:1]),
        (FAMILIES[:1], [SupportVectors((0.1, 20.0))]),
    ):
        with pytest.raises(FingerprintMismatch):
            run_protocol([data], families, learners, tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"fingerprint": 1, "seconds": "x"}', "\x00"])
def test_corrupt_results_are_refused(tmp_path, content, iris_set):
    (tmp_path / "irises--Laplace--SVM.json").write_text(content)
    with pytest.raises(InvalidFile, match="Delete it"):
        run_protocol([iris_set()], FAMILIES[:1], LEARNERS[:1], tmp_path)


def test_stored_results_tell_what_was_tried(tmp_path, iris_set):
    run_protocol([iris_set()], FAMILIES[:1], LEARNERS[:1], tmp_path)
    document = json.loads((tmp_path / "irises--Laplace--SVM.json").read_text())
    assert document["kernels"] == [f"Laplace(scale={2.0 * 2.0**octave!r})" for octave in (-1, 0, 1)]
    assert document["strengths"] == [0.1, 10.0]
    assert np.array(document["correct"]).shape == (3, 2)
    assert document["choices"]["first"]["tied"] == (np.array(document["correct"]) == np.max(document["correct"])).sum()


def test_processes_give_the_same_results(tmp_path, iris_set):
    sets = [iris_set(40, "a"), iris_set(48, "b")]
    alone = run_protocol(sets, FAMILIES[:1], LEARNERS, tmp_path / "alone")
    together = run_protocol(sets, FAMILIES[:1], LEARNERS, tmp_path / "together", jobs=2)
    assert outcome(together) == outcome(alone)
