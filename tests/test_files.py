"""Files that are whole or not there."""

import pytest

from widenet._files import replaced


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "model"
    path.write_text("old")
    with replaced(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def _fail_half_way(path, error):
    with replaced(path) as aside:
        aside.write_text("half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_a_failed_block_wrote_goes(tmp_path, error):
    path = tmp_path / "model"
    path.write_text("old")
    with pytest.raises(error):
        _fail_half_way(path, error)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error_of_the_file_system(tmp_path):
    with pytest.raises(OSError, match="No such file"), replaced(tmp_path / "missing" / "model") as aside:
        aside.write_text("new")
