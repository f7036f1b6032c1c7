import pytest

from widenet.errors import InvalidFile
from widenet.experiments.outcome import prepare_folder


def test_a_folder_is_made_with_those_above_it(tmp_path):
    for _ in range(2):
        prepare_folder(tmp_path / "new" / "folder")
        assert (tmp_path / "new" / "folder").is_dir()


def test_what_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InvalidFile, match="one to write to"):
            prepare_folder(path)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(InvalidFile, match="a read-only folder"):
        prepare_folder(tmp_path)
