"""Small labelled images in three parts, to train, to choose on, and to test on."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray
from sklearn.datasets import load_digits
from sklearn.preprocessing import normalize

from widenet.errors import InvalidInput
from widenet.estimators.zca import ZCA
from widenet.experiments.image_files import read_images, shrink

_SIDE = 8  # largest height of images for convolutional networks, whose pooled kernels compare all pairs of pixels


@dataclass(frozen=True, eq=False)
class SmallImages:
    """Images from 0 to 1 with their classes.

    Attributes:
        name: Of the data.
        train: (n, H, W, C).
        choose: Images to choose ridges and stopping times on.
        test: Images to test on, used for nothing else.
        labels: Classes of the three parts.
    """

    name: str
    train: ndarray
    choose: ndarray
    test: ndarray
    labels: tuple[ndarray, ndarray, ndarray]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of one image."""
        _, height, width, channels = self.train.shape
        return height, width, channels

    @property
    def parts(self) -> tuple[ndarray, ndarray, ndarray]:
        """The images to train on, to choose on and to test on."""
        return self.train, self.choose, self.test

    @property
    def targets(self) -> ndarray:
        """One-hot classes of the training images minus 1 / classes, (n, classes)."""
        classes = int(max(part.max() for part in self.labels)) + 1
        return np.eye(classes)[self.labels[0]] - 1 / classes

    def shrunk(self) -> "SmallImages":
        """The same images, at most 8 pixels high."""
        height = self.shape[0]
        factor = next((f for f in range(1, height + 1) if height % f == 0 and height // f <= _SIDE), 1)
        train, choose, test = (shrink(part, factor) for part in self.parts)
        return SmallImages(self.name, train, choose, test, self.labels)


def digits_in_parts(sizes: tuple[int, int, int], seed: int) -> SmallImages:
    """scikit-learn's 1,797 digits of 8 x 8 pixels, shuffled and cut.

    Args:
        sizes: Images of the three parts.
        seed: Of the shuffle.

    Raises:
        InvalidInput: If there are not as many.
    """
    pixels, labels = load_digits(return_X_y=True)
    return _cut("digits", (np.asarray(pixels) / 16).reshape(-1, 8, 8, 1), np.asarray(labels), sizes, seed)


def folder_in_parts(folder: Path, sizes: tuple[int, int, int], seed: int) -> SmallImages:
    """Images of a folder in IDX files; the parts to train and choose on from its training set, tests from its own.

    Args:
        folder: As `read_images` takes it.
        sizes: Images of the three parts.
        seed: Of the shuffle.

    Raises:
        InvalidFile: If the folder does not hold the four files.
        InvalidInput: If there are not as many images.
    """
    images, random = read_images(folder), np.random.default_rng(seed)
    train, test = random.permutation(len(images.X_train)), random.permutation(len(images.X_test))
    if sizes[0] + sizes[1] > len(train) or sizes[2] > len(test):
        raise InvalidInput(f"{folder} must hold enough images", f"{len(train)} and {len(test)} for {sizes}")
    first, second, third = train[: sizes[0]], train[sizes[0] : sizes[0] + sizes[1]], test[: sizes[2]]
    cut = images.X_train[first], images.X_train[second], images.X_test[third]
    labels = images.y_train[first], images.y_train[second], images.y_test[third]
    a, b, c = (part.astype(np.float64) for part in cut)
    return SmallImages(folder.name, a, b, c, (labels[0].astype(int), labels[1].astype(int), labels[2].astype(int)))


def _cut(name: str, images: ndarray, labels: ndarray, sizes: tuple[int, int, int], seed: int) -> SmallImages:
    if sum(sizes) > len(images):
        raise InvalidInput(f"the parts must hold no more than the {len(images)} images", str(sizes))
    order = np.random.default_rng(seed).permutation(len(images))
    ends = np.cumsum(sizes)
    parts = [order[start:end] for start, end in zip((0, *ends[:2]), ends, strict=True)]
    cut = [images[part] for part in parts]
    return SmallImages(name, cut[0], cut[1], cut[2], (labels[parts[0]], labels[parts[1]], labels[parts[2]]))


def prepared(images: SmallImages, zca_ridge: float | None, train: ndarray | None = None) -> list[ndarray]:
    """The three parts as rows with a mean square of 1: centred and normed one by one, then whitened.

    Args:
        images: The images.
        zca_ridge: Relative ridge of ZCA; None leaves the whitening out.
        train: Other training images in their place, such as augmented ones; ZCA is fitted on them.
    """
    parts = [part.reshape(len(part), -1) for part in (images.train if train is None else train, images.choose)]
    parts.append(images.test.reshape(len(images.test), -1))
    if zca_ridge is None:
        rows = [np.asarray(normalize(part - part.mean(1, keepdims=True))) for part in parts]
    else:
        zca = ZCA(zca_ridge).fit(parts[0])
        rows = [zca.transform(part) for part in parts]
    size = np.sqrt(np.mean(np.square(rows[0])))
    return [part / size for part in rows]
