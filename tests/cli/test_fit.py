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


def test_out_of_memory_is_a_failure(assert_refused, monkeypatch, table):
    from widenet.errors import MemoryLimitExceeded
    from widenet.experiments import predictor

    def exhausted(*arguments):
        raise MemoryLimitExceeded("a Gram matrix needs memory", "8 GiB", "Use fewer rows")

    monkeypatch.setattr(predictor.Predictor, "fit", exhausted)
    assert_refused(["fit", "table.csv", "--target", "y", "--model", "m"], "8 GiB. Use fewer rows", FAILURE)
