"""Against scikit-learn's SVC, which wraps the same libsvm."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.svm import SVC

from widenet.errors import InvalidInput
from widenet.estimators.selection import Problem, check_gram
from widenet.estimators.support_vectors import SupportVectorMachine, pair_scores, train_machine
from widenet.kernels import Gaussian, Linear


def flowers(classes):
    X, y = load_iris(return_X_y=True)
    kept = y < classes
    return X[kept], y[kept]


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_coefficients_give_the_decisions_of_libsvm(classes, weighted):
    X, y = flowers(classes)
    weight = np.linspace(0.5, 2.0, len(y)) if weighted else np.ones(len(y))
    K = Gaussian(1.5)(X)
    machine = train_machine(K, y, weight, 3.0)
    svc = SVC(kernel="precomputed", C=3.0, decision_function_shape="ovo").fit(K, y, sample_weight=weight)
    pairs = K @ machine.dual + machine.offset
    expected = svc.decision_function(K).reshape(len(y), -1)
    np.testing.assert_allclose(pairs, -expected if classes == 2 else expected, rtol=0, atol=1e-12)
    assert machine.converged
    scores = pair_scores(pairs, classes)
    assert np.array_equal(scores.argmax(axis=1), svc.predict(K))
    if classes > 2:
        svc.decision_function_shape = "ovr"
        np.testing.assert_allclose(scores, svc.decision_function(K), rtol=0, atol=1e-12)


def test_folds_are_even_over_rows_and_classes():
    labels = np.array([0] * 11 + [1] * 14 + [2] * 5)
    fold = SupportVectorMachine(folds=5).fold_of(labels)
    assert np.bincount(fold).tolist() == [6] * 5
    for label in range(3):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert not np.array_equal(fold, SupportVectorMachine(folds=5, seed=1).fold_of(labels))
    assert SupportVectorMachine(folds=10).fold_of(np.array([0, 1, 0, 1])).max() == 3


def problem_of(X, y):
    target = np.eye(y.max() + 1)[y]
    return Problem(X, target - target.mean(axis=0), np.ones(len(y)))


def test_the_choice_is_that_of_a_plain_loop():
    X, y = flowers(3)
    rng = np.random.default_rng(0)
    y = np.where(rng.random(len(y)) < 0.15, rng.integers(0, 3, len(y)), y)
    machine = SupportVectorMachine(C=(0.1, 1.0, 100.0), folds=5)
    kernels = (Linear(), Gaussian(0.3), Gaussian(3.0))
    table = machine.choose(kernels, lambda kernel: check_gram(kernel, X), problem_of(X, y))
    fold = machine.fold_of(y)
    errors = {}
    for kernel in kernels:
        for C in machine.C:
            wrong = 0
            for number in range(5):
                train, test = fold != number, fold == number
                svc = SVC(kernel="precomputed", C=C).fit(kernel(X[train]), y[train])
                wrong += (svc.predict(kernel(X[test], X[train])) != y[test]).sum()
            errors[kernel, C] = wrong / len(y)
    assert table[0].score == pytest.approx(min(errors.values()))
    for candidate in table:
        best = {C: errors[candidate.kernel, C] for C in machine.C}
        assert candidate.score == pytest.approx(min(best.values()))
        assert 1 / candidate.ridge == pytest.approx(max(C for C, e in best.items() if e == min(best.values())))
    assert [candidate.chosen for candidate in table] == [True, False, False]


def test_ties_go_to_the_least_leave_one_out_error():
    X, y = flowers(2)  # which every kernel separates
    kernels = (Gaussian(0.5), Gaussian(2.0))
    machine = SupportVectorMachine()
    table = machine.choose(kernels, lambda kernel: check_gram(kernel, X), problem_of(X, y))
    assert [candidate.score for candidate in table] == [0.0, 0.0]
    assert table[0].kernel == Gaussian(2.0)
    assert 1 / table[0].ridge == pytest.approx(100.0)


def test_validation_scores_come_from_the_other_folds():
    X, y = flowers(3)
    y[0] = 2
    machine = SupportVectorMachine(folds=3)
    K = Gaussian(1.0)(X)
    scores = machine.validation_scores(K, y, np.ones(len(y)), 10.0)
    train, test = (machine.fold_of(y) == 0) == np.array([[False], [True]])
    svc = SVC(kernel="precomputed", C=10.0).fit(K[np.ix_(train, train)], y[train])
    np.testing.assert_allclose(scores[test], svc.decision_function(K[np.ix_(test, train)]), rtol=0, atol=1e-12)


def test_a_class_of_one_row_and_a_fold_of_one_class_are_scored():
    K = np.eye(4) + 1.0
    y = np.array([0, 0, 0, 1])
    scores = SupportVectorMachine(folds=4).validation_scores(K, y, np.ones(4), 1.0)
    assert np.isfinite(scores).all()
    assert scores[3].tolist() == [1.0, 0.0]
    table = SupportVectorMachine(folds=4).choose((Linear(),), lambda kernel: K, problem_of(K, y))
    assert table[0].score == pytest.approx(0.25)


@pytest.mark.parametrize("options", [{"C": ()}, {"C": (0.0,)}, {"C": (np.inf,)}, {"folds": 1}])
def test_bad_grids_are_refused(options):
    with pytest.raises(InvalidInput):
        SupportVectorMachine(**options)
