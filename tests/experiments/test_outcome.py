import pytest

from widenet.errors import InvalidFile
from widenet.experiments.outcome import Outcome, prepare_folder, run_parts, write_report
from widenet.experiments.result_tables import Column, ResultTable


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


def test_parts_run_in_order_and_make_one_report(tmp_path):
    table = ResultTable("Numbers", (Column("n"),), ((1,),))
    told = []
    parts = {
        "first": lambda: Outcome((table,), (tmp_path / "a.csv",), "## One"),
        "second": lambda: Outcome((), (tmp_path / "b.png",), "## Two"),
    }
    done = run_parts(parts, lambda *message: told.append(message))
    assert told == [("first", 0, 2), ("second", 1, 2)]
    report = write_report(tmp_path / "report.md", "Title", "Claims.", done)
    assert (tmp_path / "report.md").read_text() == "# Title\n\nClaims.\n\n## One\n\n## Two\n"
    assert report == Outcome((table,), (tmp_path / "report.md", tmp_path / "a.csv", tmp_path / "b.png"), "Claims.")
