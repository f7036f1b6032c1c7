import pytest

from widenet.errors import InvalidFile
from widenet.experiments.written import check_writable, written_aside


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def interrupted():
        with written_aside(path) as aside:
            aside.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_block_replaces_the_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with written_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == (tmp_path / "file.txt").stat().st_mode & 0o666


@pytest.mark.parametrize("name", ["absent/file.txt", "file/below.txt", "nul\0byte", "."])
def test_places_that_cannot_be_written_are_refused_before_work(tmp_path, name):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InvalidFile):
        check_writable(tmp_path / name)


def test_checking_leaves_nothing(tmp_path):
    check_writable(tmp_path / "file.txt")
    assert list(tmp_path.iterdir()) == []
