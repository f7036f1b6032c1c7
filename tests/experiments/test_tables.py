import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widenet.errors import InvalidFile, InvalidInput, WidenetError
from widenet.experiments.tables import read_frame, restore_labels, sample_rows, split_target, write_frame

FRAME = pd.DataFrame({"size": [1.5, 2.0, None, 4.0], "colour": ["red", "blue", "red", "green"], "price": [1, 2, 3, 5]})


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet", ".pq", ".txt"])
def test_tables_come_back_as_they_were_written(tmp_path, ending):
    path = tmp_path / f"table{ending}"
    write_frame(FRAME, path)
    pd.testing.assert_frame_equal(read_frame(path), FRAME, check_dtype=False)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("separator", [";", "\t"])
def test_csv_with_other_separators_is_recognised(tmp_path, separator):
    path = tmp_path / "table.csv"
    FRAME.to_csv(path, sep=separator, index=False)
    pd.testing.assert_frame_equal(read_frame(path), FRAME, check_dtype=False)


def test_decimal_commas_between_semicolons_are_numbers(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("x;y\n1,5;0\n-2;1\n?;2\n3,25e2;3\n;4\n")
    np.testing.assert_array_equal(read_frame(path)["x"].to_numpy(float), [1.5, -2.0, np.nan, 325.0, np.nan])


def test_text_among_decimal_commas_is_refused_and_codes_stay_text(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("x;y\n" + "".join(f"{i},5;{i}\n" for i in range(30)) + "many;1\n")
    with pytest.raises(InvalidInput, match="the first is 'many' in row 31"):
        split_target(read_frame(path), "x")
    path.write_text("x;y\n" + "a,5;1\nb;2\n1,5;3\n" * 2)
    assert read_frame(path)["x"].tolist() == ["a,5", "b", "1,5"] * 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "empty file"),
        ("a.csv", b"x,y\n", "must have rows"),
        ("a.csv", b"x,y,x\n1,2,3\n", "'x' twice"),
        ("a.csv", b"x,y\n1,2\n1,2,3\n", "a.csv must"),
        ("a.csv", b"x,y\n1,2,3\n1,2,3\n", "longer rows"),
        ("a.csv", b"\xff\xfe\x00\x01\x02", "UTF-8"),
        ("a.csv", b"\x00\x01\x02", "binary"),
        ("a.csv", b"x,y\n1,2\n3,\x00\n", "binary"),
        ("a.csv", b"\n1,2\n", "^a.csv must have a row of column names; got none$"),
        ("a.parquet", b"PAR1 no parquet at all PAR1", "Parquet"),
        ("a.parquet", b"x,y\n1,2\n", "Parquet"),
        ("a.xlsx", b"PK", "a table must be"),
    ],
)
def test_files_that_are_no_table_are_refused_in_one_line(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(WidenetError, match=message) as caught:
        read_frame(path)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(InvalidFile, match="nothing there"):
        read_frame(tmp_path / "absent.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InvalidFile, match="a folder"):
        read_frame(tmp_path / "folder.csv")


def outcome_of(path):
    try:
        frame = read_frame(path)
        split_target(frame, str(frame.columns[-1]))
    except WidenetError:  # any other exception fails the test
        return "refused"
    return "table"


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300), ending=st.sampled_from([".csv", ".tsv", ".parquet"]))
def test_random_bytes_give_a_table_or_an_error_of_ours(tmp_path_factory, content, ending):
    path = tmp_path_factory.mktemp("garbage") / f"table{ending}"
    path.write_bytes(content)
    assert outcome_of(path) in ("table", "refused")


@settings(max_examples=60, deadline=None)
@given(content=st.text(st.sampled_from('ab,;\t\n\r" 01.-e?\0é'), max_size=80))
def test_random_text_gives_a_table_or_an_error_of_ours(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("garbage") / "table.csv"
    path.write_bytes(content.encode())
    assert outcome_of(path) in ("table", "refused")


@pytest.mark.parametrize(
    ("cells", "task", "kind"),
    [
        (["a", "b"] * 10, "classification", "text"),
        ([True, False] * 10, "classification", "boolean"),
        ([0, 1, 2, 1] * 5, "classification", "integer"),
        ([1.0, 2.0] * 10, "classification", "integer"),
        ([2**53, 2**53 + 1] * 10, "classification", "integer"),
        (list(range(20)), "regression", "number"),
        ([0.5, 1.5, 2.5, 0.25] * 5, "regression", "number"),
        ([f"{i}.5" for i in range(20)], "regression", "number"),
    ],
)
def test_the_task_is_recognised(cells, task, kind):
    table = split_target(pd.DataFrame({"x": range(20), "y": cells}), "y")
    assert (table.task, table.label_kind) == (task, kind)
    if task == "classification":
        assert list(restore_labels(table.target, table.label_kind)) == cells


def test_the_task_can_be_told():
    frame = pd.DataFrame({"x": range(20), "y": [0, 1] * 10})
    assert split_target(frame, "y", "regression").target.dtype == np.float64
    assert split_target(frame, "y", "classification").task == "classification"


@pytest.mark.parametrize(
    ("cells", "task", "message"),
    [
        ([1.0, None, 3.0, 4.0] * 5, None, "none in 5 of 20 rows, the first is row 2"),
        ([1.0, 2.0, 3.0, np.inf] * 5, None, "infinity in 5 of 20 rows, the first is row 4"),
        ([*map(str, range(19)), "abc"], None, "text in 1 of 20 rows, the first is 'abc' in row 20"),
        (["a"] * 20, None, "one class, 'a'"),
        ([2.5] * 20, None, "the constant 2.5"),
        ([3] * 20, None, "one class, '3'"),
        ([3] * 20, "regression", "the constant 3"),
        ([f"name {i}" for i in range(20)], None, "20 distinct labels in 20 rows"),
        (["a", "b"] * 10, "regression", "text in 20 of 20 rows"),
        ([1e200 * i for i in range(20)], None, "finite variance"),
        (list(pd.date_range("2020-01-01", periods=20)), None, "dates"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(cells, task, message):
    with pytest.raises(InvalidInput, match=message):
        split_target(pd.DataFrame({"x": range(20), "y": cells}), "y", task)


def test_an_absent_target_names_the_nearest_column():
    with pytest.raises(InvalidInput, match="The nearest name is 'price'"):
        split_target(FRAME, "prise")


def test_a_table_needs_two_rows_and_a_feature():
    with pytest.raises(InvalidInput, match="two rows"):
        split_target(FRAME.iloc[:1], "price")
    with pytest.raises(InvalidInput, match="beside the target"):
        split_target(FRAME[["price"]], "price")


def test_sampled_rows_keep_features_and_targets_together():
    table = split_target(pd.DataFrame({"x": np.arange(100), "y": np.arange(100) + 0.5}), "y")
    small, left_out = sample_rows(table, 30, seed=1)
    assert left_out == 70
    np.testing.assert_array_equal(small.target, small.features["x"] + 0.5)
    assert sample_rows(table, 100, seed=1)[1] == 0
