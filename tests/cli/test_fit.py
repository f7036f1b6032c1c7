import json

import pytest

from widenet.cli.main import FAILURE, SUCCESS, run


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "empty file"),
        ("a,y\n", "must have rows"),
        ("a,y\n1,2\n", "at least two rows"),
        ("a,a,y\n1,2,3\n1,2,4\n", "'a' twice"),
        ("a,y\n1,\n2,3\n", "must have a value in every row"),
        ("a,y\n1,inf\n2,3\n", "must be finite"),
        ("a,y\n1,3\n2,3\n", "must vary"),
        ("a,y\n1,x\n2,x\n", "one class"),
        ("a,y\n" + "".join(f"{i},{i}.5\n" for i in range(30)) + "1,abc\n", "must hold numbers"),
        ("a,y\n" + "".join(f"{i},{i}.5\n" for i in range(30)) + "abc,1\n", "must hold numbers"),
        ("a,y\n" + "".join(f"{i},{i}.5\n" for i in range(30)) + "inf,1\n", "must hold finite numbers"),
        ("y\n1\n2\n", "beside the target"),
    ],
)
def test_bad_tables_are_one_line_and_code_2(assert_refused, tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text(content)
    assert_refused(["fit", "bad.csv", "--target", "y", "--model", "model"], message)
    assert [file.name for file in tmp_path.iterdir()] == ["bad.csv"]


def test_columns_that_are_not_used_or_have_no_name_are_told(capsys, table):
    table.assign(same=1, name=[f"row {i}" for i in range(60)]).to_csv("table.csv")
    for command in (
        ["fit", "table.csv", "--target", "y", "--model", "m", "--kernel", "laplace"],
        ["compare", "table.csv", "--target", "y", "--methods", "ridge", "--folds", "2"],
    ):
        assert run(command) == SUCCESS
        lines = capsys.readouterr().err.splitlines()
        assert "column 'same' is not used: constant 1" in lines
        assert "column 'name' is not used: text with 60 distinct values in 60 rows" in lines
        assert sum("'Unnamed: 0' has no name" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" * 9, "UTF-8"),
        (b"a,y\n1,2\n\x00\x00,3\n", "binary data"),
        ("a,y\nRhône,1\nIsère,2\n".encode("latin-1"), "UTF-8"),
    ],
)
def test_files_that_are_no_text_in_utf_8_are_refused(assert_refused, tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_bytes(content)
    assert_refused(["fit", "bad.csv", "--target", "y", "--model", "model"], message)


def test_a_folder_is_no_table(assert_refused, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    assert_refused(["fit", str(tmp_path / "folder.csv"), "--target", "y", "--model", str(tmp_path / "m")], "a folder")


@pytest.mark.parametrize(("separator", "decimal", "encoding"), [(";", ",", "utf-8"), (",", ".", "utf-8-sig")])
def test_tables_of_spreadsheets_are_read_as_they_were_meant(capsys, table, separator, decimal, encoding):
    table.to_csv("other.csv", index=False, sep=separator, decimal=decimal, encoding=encoding)
    documents = []
    for name in ("table.csv", "other.csv"):
        assert run(["fit", name, "--target", "y", "--model", "m", "--kernel", "laplace", "--json"]) == SUCCESS
        documents.append(json.loads(capsys.readouterr().out))
    assert documents[0] == documents[1]
    assert [column["name"] for column in documents[0]["columns"]] == ["a", "b", "c"]


def test_a_million_rows_are_a_failure_that_says_how_many_fit(assert_refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "long.csv").write_text("a,y\n" + "".join(f"{i % 1009},{i % 1013}\n" for i in range(10**6)))
    assert_refused(["fit", "long.csv", "--target", "y", "--model", "m"], "rows would fit", FAILURE)


def test_out_of_memory_is_a_failure(assert_refused, monkeypatch, table):
    from widenet.errors import MemoryLimitExceeded
    from widenet.experiments import predictor

    def exhausted(*arguments):
        raise MemoryLimitExceeded("a Gram matrix needs memory", "8 GiB", "Use fewer rows")

    monkeypatch.setattr(predictor.Predictor, "fit", exhausted)
    assert_refused(["fit", "table.csv", "--target", "y", "--model", "m"], "8 GiB. Use fewer rows", FAILURE)
