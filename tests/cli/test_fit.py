import json

import numpy as np
import pandas as pd
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


@pytest.fixture
def waves(tmp_path, monkeypatch):
    """UCR files of slow and fast waves, the test series shorter at times."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for part, count in (("TRAIN", 24), ("TEST", 12)):
        lines = []
        for i in range(count):
            values = np.sin((1 + i % 2) * np.arange(15) / 3 + rng.uniform(0, 6)) + 0.05 * rng.normal(size=15)
            words = [f"{v:.6f}" for v in values]
            words[15 - i % 3 :] = ["NaN"] * (i % 3)
            lines.append("\t".join([str(i % 2 + 1), *words]))
        (tmp_path / f"Waves_{part}.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_series_are_fitted_and_predicted_from_ucr_files(capsys, waves):
    assert run(["fit", "Waves_TRAIN.tsv", "--model", "m", "--json"]) == SUCCESS
    document = json.loads(capsys.readouterr().out)
    assert (document["task"], document["series"], document["lengths"]) == ("classification", 24, [13, 15])
    assert "Recurrent" in document["kernel"]
    assert run(["predict", "m", "Waves_TEST.tsv", "--output", "out.csv"]) == SUCCESS
    assert "accuracy 1.0000 on the labels of 12 series" in capsys.readouterr().err
    predicted = pd.read_csv("out.csv")
    assert list(predicted.columns) == ["prediction", "probability of 1", "probability of 2"]
    assert predicted["prediction"].tolist() == [1, 2] * 6
    unlabelled = "".join("?" + line[1:] for line in (waves / "Waves_TEST.tsv").read_text().splitlines(keepends=True))
    (waves / "new.tsv").write_text(unlabelled)
    assert run(["predict", "m", "new.tsv", "--json"]) == SUCCESS
    out, err = capsys.readouterr()
    assert json.loads(out)["columns"]["prediction"] == [1, 2] * 6
    assert "accuracy" not in err


def test_series_of_a_quantity_are_regression(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    lines = ["@univariate true", "@targetlabel true", "@data"]
    for _ in range(20):
        values = rng.normal(size=6)
        lines.append(",".join(f"{v:.4f}" for v in values) + f":{values[-1]:.4f}")
    (tmp_path / "last.ts").write_text("\n".join(lines))
    assert run(["fit", "last.ts", "--model", "m"]) == SUCCESS
    assert capsys.readouterr().out.startswith("regression of 20 series of 6 steps, 1 channel\n")
    assert run(["predict", "m", "last.ts"]) == SUCCESS
    out, err = capsys.readouterr()
    assert err.startswith("R2 ")
    assert out.splitlines()[0] == "prediction"
    assert len(out.splitlines()) == 21


def test_series_that_cannot_be_read_or_learned_are_one_line(assert_refused, waves, table):
    (waves / "gap.tsv").write_text("1\t2\t3\n2\t1\tNaN\t3\n")
    assert_refused(["fit", "gap.tsv", "--model", "m"], "step 2 of line 2")
    (waves / "one.tsv").write_text("1\t2\t3\n1\t1\t4\n")
    assert_refused(["fit", "one.tsv", "--model", "m"], "one class")
    (waves / "none.tsv").write_text("?\t2\t3\n?\t1\t4\n")
    assert_refused(["fit", "none.tsv", "--model", "m"], "a label for each series")
    assert_refused(["fit", "Waves_TRAIN.tsv", "--model", "m", "--kernel", "laplace"], "leave out --kernel")
    assert_refused(["fit", "gap.ts", "--model", "m", "--target", "y"], "leave out --target")
    assert_refused(["fit", "table.csv", "--model", "m"], "--target")
    table.to_csv("table.tsv", index=False, sep="\t")
    assert_refused(["fit", "table.tsv", "--model", "m"], "A table with a header needs --target")
    assert not (waves / "m").exists()


def test_tables_with_tabs_and_a_target_are_tables(capsys, table):
    table.to_csv("table.tsv", index=False, sep="\t")
    assert run(["fit", "table.tsv", "--target", "y", "--model", "m", "--kernel", "laplace"]) == SUCCESS
    assert capsys.readouterr().out.startswith("regression of y")


def test_a_model_of_tables_is_no_model_of_series_and_files_of_neither_are_told(assert_refused, capsys, waves, table):
    assert run(["fit", "table.csv", "--target", "y", "--model", "m", "--kernel", "laplace"]) == SUCCESS
    assert run(["fit", "Waves_TRAIN.tsv", "--model", "s"]) == SUCCESS
    capsys.readouterr()
    assert_refused(["predict", "s", "table.csv"], ".tsv or .ts")
    assert_refused(["predict", "absent", "Waves_TEST.tsv"], "absent")
    (waves / "cut").write_bytes((waves / "s").read_bytes()[:-50])
    assert_refused(["predict", "cut", "Waves_TEST.tsv"], "must be a model saved by widenet")


def test_a_table_is_streamed_into_features(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=200), "b": np.array(["x", "y"])[np.arange(200) % 2]})
    frame = frame.assign(y=np.sin(frame["a"]) + (frame["b"] == "x"))
    frame.to_csv("t.csv", index=False)
    given = ["fit", "t.csv", "--target", "y", "--model", "m", "--kernel", "laplace", "--solver", "features", "--json"]
    assert run(given) == SUCCESS
    document = json.loads(capsys.readouterr().out)
    assert (document["task"], document["rows"], document["features"]) == ("regression", 200, 1024)
    assert run(["predict", "m", "t.csv", "--output", "p.csv"]) == SUCCESS
    assert np.abs(pd.read_csv("p.csv")["prediction"] - frame["y"]).mean() < 0.1
