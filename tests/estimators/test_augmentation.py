"""Augmentations against plain loops; ensembles against the mean of estimators fitted by hand."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from widenet import ZCA, KernelClassifier, KernelRegressor, Laplace
from widenet.errors import InvalidInput
from widenet.estimators.augmentation import AugmentedClassifier, AugmentedRegressor, RandomCrop, RandomFlip

DIGITS, LABELS = load_digits(return_X_y=True)
CLASSIFIER = KernelClassifier(Laplace(2.0), ridge=0.01)


def jitter(X, random):
    return X + 0.1 * random.normal(size=X.shape)


@parametrize_with_checks(
    [
        AugmentedClassifier(CLASSIFIER, members=2),
        AugmentedRegressor(KernelRegressor(Laplace(2.0), ridge=0.01), members=2),
    ]
)
def test_scikit_learn_check(estimator, check):
    check(estimator)


def test_a_flip_mirrors_whole_images():
    images = np.random.default_rng(0).normal(size=(200, 4, 5, 2))
    for axis in (0, 1):
        found = RandomFlip((4, 5, 2), axis)(images.reshape(200, -1), np.random.default_rng(1)).reshape(images.shape)
        mirrored = images[:, ::-1] if axis == 0 else images[:, :, ::-1]
        same = (found == images).all(axis=(1, 2, 3))
        assert np.array_equal(found[~same], mirrored[~same])
        assert 70 < same.sum() < 130  # 100 expected, 7 the standard deviation
    never = RandomFlip((4, 5, 2), probability=0.0)(images, np.random.default_rng(1))
    assert np.array_equal(never, images)


def test_a_crop_shifts_and_fills_with_zeros():
    images = 1 + np.random.default_rng(0).random(size=(300, 5, 6, 1))
    found = RandomCrop((5, 6, 1), 2)(images, np.random.default_rng(2))
    seen = set()
    for image, shifted in zip(images, found, strict=True):
        matches = []
        for down in range(-2, 3):
            for right in range(-2, 3):
                expected = np.zeros((5, 6, 1))
                for i in range(5):
                    for j in range(6):
                        if 0 <= i - down < 5 and 0 <= j - right < 6:
                            expected[i, j] = image[i - down, j - right]
                if np.array_equal(expected, shifted):
                    matches.append((down, right))
        assert len(matches) == 1
        seen.add(matches[0])
    assert len(seen) == 25


def test_scores_are_the_mean_of_members_fitted_by_hand():
    X, y, new = DIGITS[:150], LABELS[:150], DIGITS[150:250]
    model = AugmentedClassifier(CLASSIFIER, jitter, members=3, random_state=5).fit(X, y)
    seed = int(np.random.RandomState(5).randint(2**31 - 1))
    random, scores = np.random.default_rng(seed), 0
    for _ in range(3):
        scores = (
            scores + KernelClassifier(Laplace(2.0), ridge=0.01).fit(jitter(X, random), y).decision_function(new) / 3
        )
    np.testing.assert_allclose(model.decision_function(new), scores, rtol=0, atol=1e-12)
    assert np.array_equal(model.predict(new), np.unique(y)[scores.argmax(axis=1)])
    assert len(model.estimators_) == 3


def test_predictions_of_a_regressor_are_the_mean_over_copies_of_the_rows_too():
    rng = np.random.default_rng(0)
    X, y, new = rng.normal(size=(40, 3)), rng.normal(size=(40, 2)), rng.normal(size=(7, 3))
    model = AugmentedRegressor(Ridge(), jitter, members=2, test_copies=4).fit(X, y)
    # Ridge regression is linear: the mean over copies is the prediction at their mean.
    single = AugmentedRegressor(Ridge(), jitter, members=2).fit(X, y)
    assert model.predict(new).shape == (7, 2)
    random = np.random.default_rng(model._test_seed)
    mean = np.mean([jitter(new, random) for _ in range(4)], axis=0)
    np.testing.assert_allclose(model.predict(new), single.predict(mean), rtol=0, atol=1e-12)
    assert np.array_equal(model.predict(new), model.predict(new))


def test_shifts_of_digits_help_within_a_pipeline():
    X, y, new, truth = DIGITS[:200], LABELS[:200], DIGITS[200:700], LABELS[200:700]
    base = make_pipeline(ZCA(10.0), KernelClassifier(Laplace(0.5), ridge=1e-3, standardize=False))
    plain = base.fit(X, y).score(new, truth)
    model = AugmentedClassifier(base, [RandomCrop((8, 8, 1), 1)], members=4).fit(X, y)
    assert model.score(new, truth) > plain
    whitenings = [member[0].whitening_ for member in model.estimators_]
    assert not np.allclose(whitenings[0], whitenings[1])  # each member whitens the rows it sees


def test_two_classes_and_no_augmentation_are_the_estimator_itself():
    y = np.where(LABELS[:100] < 5, "low", "high")
    model = AugmentedClassifier(CLASSIFIER, members=7).fit(DIGITS[:100], y)
    alone = KernelClassifier(Laplace(2.0), ridge=0.01).fit(DIGITS[:100], y)
    assert len(model.estimators_) == 1
    assert np.array_equal(model.decision_function(DIGITS[100:150]), alone.decision_function(DIGITS[100:150]))
    assert np.array_equal(model.predict(DIGITS[100:150]), alone.predict(DIGITS[100:150]))


@pytest.mark.parametrize(
    "options",
    [
        {"members": 0},
        {"members": 1.5},
        {"test_copies": -1},
        {"augment": 3},
        {"augment": [jitter, "flip"]},
        {"augment": lambda X, random: X[:5]},
        {"augment": RandomFlip((3, 3, 1))},
        {"estimator": Ridge()},
    ],
    ids=["members 0", "members 1.5", "copies -1", "number", "list", "function", "flip of other rows", "no kernel"],
)
def test_parameters_out_of_range_are_refused(options):
    with pytest.raises(InvalidInput):
        AugmentedClassifier(**{"estimator": CLASSIFIER, **options}).fit(DIGITS[:50], LABELS[:50])


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomFlip((8, 0, 1)),
        lambda: RandomFlip((8, 8, 1), axis=2),
        lambda: RandomFlip((8, 8, 1), probability=1.5),
        lambda: RandomCrop((8, 8, 1), padding=-1),
    ],
)
def test_augmentations_that_cannot_be_are_refused(make):
    with pytest.raises(InvalidInput):
        make()
