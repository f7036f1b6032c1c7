"""Random flips and shifts of images, and ensembles of estimators that each see other ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, MultiOutputMixin, RegressorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from widenet._arrays import is_count
from widenet.errors import InvalidInput
from widenet.estimators.classifier import KernelClassifier
from widenet.estimators.regressor import KernelRegressor

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@runtime_checkable
class Scorer(Protocol):
    """A fitted classifier with raw scores."""

    classes_: np.ndarray

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores of the classes, (m, classes), or of the second of two, (m,)."""
        ...


@dataclass(frozen=True)
class RandomFlip:
    """Mirror each image with some probability, left to right.

    Args:
        shape: (H, W, C) of one image; rows (n, H W C) and images (n, H, W, C) are taken.
        axis: 1 mirrors left to right, 0 upside down.
        probability: Of each image to be mirrored.

    Raises:
        InvalidInput: On a shape that is none of images, another axis, or no probability.

    Example:
        >>> import numpy as np
        >>> RandomFlip((1, 3, 1), probability=1.0)(np.array([[1.0, 2.0, 3.0]]), np.random.default_rng(0))
        array([[3., 2., 1.]])
    """

    shape: tuple[int, int, int]
    axis: int = 1
    probability: float = 0.5

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        if self.axis not in (0, 1) or not 0 <= self.probability <= 1:
            raise InvalidInput("axis must be 0 or 1, probability from 0 to 1", repr(self))

    def __call__(self, X: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Rows with some of the images mirrored."""
        images = _images(X, self.shape)
        chosen = random.random(len(images)) < self.probability
        return np.where(chosen[:, None, None, None], np.flip(images, self.axis + 1), images).reshape(X.shape)


@dataclass(frozen=True)
class RandomCrop:
    """Shift each image by up to `padding` pixels along both axes, with zeros from outside: a crop of the padded image.

    Args:
        shape: (H, W, C) of one image; rows (n, H W C) and images (n, H, W, C) are taken.
        padding: Most pixels of a shift.

    Raises:
        InvalidInput: On a shape that is none of images, or a padding that is no whole number of at least 0.
    """

    shape: tuple[int, int, int]
    padding: int = 4

    def __post_init__(self) -> None:
        _check_shape(self.shape)
        if not is_count(self.padding, 0):
            raise InvalidInput("padding must be a whole number of pixels, 0 or more", repr(self.padding))

    def __call__(self, X: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Rows with every image shifted."""
        images, (height, width, _), p = _images(X, self.shape), self.shape, self.padding
        padded = np.pad(images, ((0, 0), (p, p), (p, p), (0, 0)))
        tops, lefts = random.integers(0, 2 * p + 1, (2, len(images)))
        rows = tops[:, None, None] + np.arange(height)[None, :, None]
        columns = lefts[:, None, None] + np.arange(width)[None, None, :]
        return padded[np.arange(len(images))[:, None, None], rows, columns].reshape(X.shape)


class _AugmentedEnsemble(MetaEstimatorMixin, BaseEstimator):
    """Common part of the two ensembles: members fitted on augmented rows, and the mean of what they give."""

    estimator: Any
    augment: Any
    members: Any
    test_copies: Any
    random_state: Any
    n_features_in_: int
    estimators_: list[Any]

    def __init__(
        self,
        estimator: Any = None,
        augment: Any = None,
        members: Any = 4,
        test_copies: Any = 0,
        random_state: Any = 0,
    ) -> None:
        self.estimator = estimator
        self.augment = augment
        self.members = members
        self.test_copies = test_copies
        self.random_state = random_state

    def _fit_members(self, X: np.ndarray, y: Any, base: Any) -> None:
        for name, least in (("members", 1), ("test_copies", 0)):
            value = getattr(self, name)
            if not is_count(value, least):
                raise InvalidInput(f"{name} must be a whole number of at least {least}", repr(value))
        steps = _read_augmentations(self.augment)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._test_seed = seed + 1
        random = np.random.default_rng(seed)
        self.estimators_ = []
        for _ in range(int(self.members) if steps else 1):  # without augmentation all members are one
            member: Any = clone(base)
            self.estimators_.append(member.fit(_augmented(X, steps, random), y))

    def _read_rows(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        try:
            return np.asarray(validate_data(self, X, dtype=[np.float64, np.float32], reset=False))
        except ValueError as error:
            raise InvalidInput("rows to predict must be like those of fit", str(error)) from error

    def _mean(self, X: Any, ask: Callable[[Any, np.ndarray], np.ndarray]) -> np.ndarray:
        """Mean of what the members say of the rows, and of their augmented copies where these are asked for."""
        rows, steps = self._read_rows(X), _read_augmentations(self.augment)
        random = np.random.default_rng(self._test_seed)
        views = [_augmented(rows, steps, random) for _ in range(int(self.test_copies))] if steps else []
        said = [ask(member, view) for view in (views or [rows]) for member in self.estimators_]
        return np.mean(said, axis=0)


class AugmentedClassifier(ClassifierMixin, _AugmentedEnsemble):
    """Classifiers on random augmentations of the whole training set, whose raw scores are averaged.

    f(x) = 1 / E sum_e K(x, X_e) (K(X_e, X_e) + r)^-1 Y with X_e the e-th augmentation of X: the kernel predictor on all
    E n rows together would cost (E n)^3, these cost E n^3.

    Args:
        estimator: A classifier with a `decision_function`, a `Pipeline` of `ZCA` and `KernelClassifier` for example;
            None takes `KernelClassifier()`.
        augment: A function of rows (n, d) and a NumPy generator to rows, such as `RandomFlip`, or a sequence of them,
            or None.
        members: E.
        test_copies: Augmented copies of rows to predict over which scores are averaged; 0 takes the rows as they are.
        random_state: Seed of the augmentations.

    Attributes:
        estimators_: The fitted members.
        classes_: The classes, sorted.
        n_features_in_: d.

    References: Lee et al. 2020, arXiv 2007.15801, section on ensembles of kernel predictors.

    Example:
        >>> from sklearn.datasets import load_digits
        >>> import widenet as wn
        >>> X, y = load_digits(return_X_y=True)
        >>> base = wn.KernelClassifier(wn.NTK(wn.fully_connected(2)), ridge=1e-3, standardize=False)
        >>> model = AugmentedClassifier(base, RandomCrop((8, 8, 1), padding=1), members=3).fit(X[:200], y[:200])
        >>> len(model.estimators_), model.decision_function(X[200:500]).shape
        (3, (300, 10))
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Fit every member on rows of its own.

        Args:
            X: Rows, (n, d).
            y: Classes, (n,).

        Raises:
            InvalidInput: On rows that are no numbers, one class, or parameters out of range.
        """
        X, y = _read_training(self, X, y, numeric=False)
        check_classification_targets(y)
        self._fit_members(X, y, KernelClassifier() if self.estimator is None else self.estimator)
        if not all(isinstance(member, Scorer) for member in self.estimators_):
            raise InvalidInput("the estimator must have a decision_function", repr(self.estimator))
        self.classes_ = self.estimators_[0].classes_
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Mean scores (m, classes); with two classes (m,), those of the second."""
        return self._mean(X, lambda member, rows: member.decision_function(rows))

    def predict(self, X: Any) -> np.ndarray:
        """Class of the largest mean score, (m,)."""
        scores = self.decision_function(X)
        return self.classes_[(scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)]


class AugmentedRegressor(MultiOutputMixin, RegressorMixin, _AugmentedEnsemble):
    """Regressors on random augmentations of the whole training set, whose predictions are averaged.

    Args:
        estimator: A regressor; None takes `KernelRegressor()`.
        augment: A function of rows (n, d) and a NumPy generator to rows, or a sequence of them, or None.
        members: How many regressors are fitted.
        test_copies: Augmented copies of rows to predict over which predictions are averaged; 0 takes the rows as they
            are.
        random_state: Seed of the augmentations.

    Attributes:
        estimators_: The fitted members.
        n_features_in_: d.

    References: Lee et al. 2020, arXiv 2007.15801, section on ensembles of kernel predictors.
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Fit every member on rows of its own.

        Args:
            X: Rows, (n, d).
            y: Targets, (n,) or (n, targets).

        Raises:
            InvalidInput: On rows that are no numbers, or parameters out of range.
        """
        X, y = _read_training(self, X, y, numeric=True)
        self._fit_members(X, y, KernelRegressor() if self.estimator is None else self.estimator)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Mean prediction of the members, (m,) or (m, targets)."""
        return self._mean(X, lambda member, rows: member.predict(rows))


def _read_training(model: BaseEstimator, X: Any, y: Any, *, numeric: bool) -> tuple[np.ndarray, Any]:
    try:
        rows, targets = validate_data(
            model, X, y, dtype=[np.float64, np.float32], ensure_min_samples=2, multi_output=numeric, y_numeric=numeric
        )
    except ValueError as error:
        raise InvalidInput("rows and targets to fit must be numbers without gaps", str(error)) from error
    return np.asarray(rows), targets


def _read_augmentations(augment: Any) -> tuple[Augmentation, ...]:
    if augment is None:
        return ()
    steps = tuple(augment) if isinstance(augment, Sequence) else (augment,)
    if not all(callable(step) for step in steps):
        raise InvalidInput("augment must be a function of rows and a generator, or a sequence of them", repr(augment))
    return steps


def _augmented(X: np.ndarray, steps: tuple[Augmentation, ...], random: np.random.Generator) -> np.ndarray:
    """Rows after all augmentations, checked to be as many as before."""
    rows = X
    for step in steps:
        rows = np.asarray(step(rows, random))
        if rows.shape != X.shape:
            raise InvalidInput(f"an augmentation must keep the shape {X.shape}", f"{rows.shape} from {step!r}")
    return rows.astype(X.dtype, copy=False)


def _images(X: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    size = int(np.prod(shape))
    if X.ndim < 2 or int(np.prod(X.shape[1:])) != size:
        raise InvalidInput(f"images of shape {shape} have {size} numbers", f"rows of shape {tuple(X.shape[1:])}")
    return X.reshape(len(X), *shape)


def _check_shape(shape: tuple[int, int, int]) -> None:
    if len(shape) != 3 or not all(isinstance(size, Integral) and int(size) >= 1 for size in shape):
        raise InvalidInput("the shape of an image is (height, width, channels)", repr(shape))
