"""Small images: parts that do not overlap, shrinking, preparation."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from widenet import ZCA
from widenet.errors import InvalidFile, InvalidInput
from widenet.experiments.small_images import SmallImages, digits_in_parts, folder_in_parts, prepared


def test_digits_are_cut_into_parts_that_share_nothing():
    images = digits_in_parts((30, 20, 50), 1)
    assert [len(part) for part in images.parts] == [30, 20, 50]
    pixels, labels = load_digits(return_X_y=True)
    known = {row.tobytes(): label for row, label in zip(pixels / 16, labels, strict=True)}
    rows = [image.reshape(-1).tobytes() for part in images.parts for image in part]
    assert len(set(rows)) == 100
    assert [known[row] for row in rows] == np.concatenate(images.labels).tolist()
    assert not np.array_equal(digits_in_parts((30, 20, 50), 2).labels[0], images.labels[0])
    with pytest.raises(InvalidInput, match="1797"):
        digits_in_parts((1000, 500, 500), 0)


def test_targets_are_one_hot_with_mean_zero():
    images = digits_in_parts((30, 20, 50), 1)
    np.testing.assert_allclose(images.targets.sum(1), 0, atol=1e-12)
    assert np.array_equal(images.targets.argmax(1), images.labels[0])
    assert images.targets.max() == pytest.approx(0.9)


def test_large_images_are_shrunk_to_eight_pixels_or_less():
    wide = np.arange(2 * 28 * 28.0).reshape(2, 28, 28, 1)
    labels = (np.array([0, 1]),) * 3
    small = SmallImages("made", wide, wide, wide, labels).shrunk()
    assert small.shape == (7, 7, 1)
    np.testing.assert_allclose(small.train[1, 0, 0, 0], wide[1, :4, :4].mean())
    assert digits_in_parts((5, 5, 5), 0).shrunk().shape == (8, 8, 1)


def test_rows_are_centred_normed_and_scaled_and_whitening_is_that_of_the_training_rows():
    images = digits_in_parts((60, 20, 20), 0)
    plain, white = prepared(images, None), prepared(images, 10.0)
    for rows in plain:
        np.testing.assert_allclose(rows.sum(1), 0, atol=1e-9)
        np.testing.assert_allclose(np.square(rows).mean(1), 1, rtol=1e-12)
    zca = ZCA(10.0).fit(images.train.reshape(60, -1))
    expected = zca.transform(images.test.reshape(20, -1))
    np.testing.assert_allclose(white[2] / white[2][0, 0], expected / expected[0, 0], rtol=1e-8)
    assert np.mean(np.square(white[0])) == pytest.approx(1)
    other = prepared(images, 10.0, np.roll(images.train, 1, axis=1))
    assert not np.allclose(other[2], white[2])


def write_folder(folder, images, labels):
    """The four IDX files, each part the same."""
    for part in ("train", "t10k"):
        for stem, values in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
            (folder / f"{part}-{stem}-ubyte").write_bytes(head + values.astype(np.uint8).tobytes())


def test_a_folder_of_images_is_read(tmp_path):
    write_folder(tmp_path, np.arange(36).reshape(6, 2, 3), np.arange(6) % 3)
    images = folder_in_parts(tmp_path, (3, 2, 4), 0)
    assert images.shape == (2, 3, 1)
    assert [len(part) for part in images.parts] == [3, 2, 4]
    firsts = np.rint(255 * np.concatenate([images.train, images.choose])[:, 0, 0, 0]).astype(int)
    assert len(set(firsts.tolist())) == 5
    assert np.array_equal(firsts // 6 % 3, np.concatenate(images.labels[:2]))
    with pytest.raises(InvalidInput, match="enough"):
        folder_in_parts(tmp_path, (300, 2, 2), 0)
    with pytest.raises(InvalidFile):
        folder_in_parts(tmp_path / "absent", (3, 2, 2), 0)
