import re

import pytest

from widenet.errors import InvalidFile
from widenet.experiments.series_files import read_series

HEADER = """# A comment
@problemName Two
@timeStamps false
@missing false
@univariate false
@dimensions 2
@equalLength false
@classLabel true left right
@data
"""


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_tsv_is_label_first_without_a_header(tmp_path):
    table = read_series(write(tmp_path, "A_TRAIN.tsv", "-1\t0.5\t1e-1\t-3\r\n1\t2\t3\t4\r\n\n"))
    assert table.name == "A_TRAIN.tsv"
    assert table.kind == "integer"
    assert table.labels.tolist() == [-1, 1]
    assert [series.tolist() for series in table.series] == [[[0.5], [0.1], [-3.0]], [[2.0], [3.0], [4.0]]]


def test_nan_at_the_end_of_a_line_is_padding(tmp_path):
    table = read_series(write(tmp_path, "a.tsv", "1\t0.5\tNaN\tNaN\n2\t1\t2\t3\n1\t4\t5\t\n"))
    assert [len(series) for series in table.series] == [1, 3, 2]


@pytest.mark.parametrize(
    ("labels", "expected", "kind"),
    [
        (("1.0000000e+00", "2.0000000e+00"), [1, 2], "integer"),
        (("cat", "dog"), ["cat", "dog"], "text"),
        (("1.5", "2"), ["1.5", "2"], "text"),
        (("?", "?"), None, "none"),
    ],
)
def test_labels_are_read_as_what_they_are(tmp_path, labels, expected, kind):
    table = read_series(write(tmp_path, "a.tsv", "".join(f"{label}\t1\t2\n" for label in labels)))
    assert (table.labels if expected is None else table.labels.tolist()) == expected
    assert table.kind == kind


def test_labels_of_a_tsv_can_be_a_quantity(tmp_path):
    path = write(tmp_path, "a.tsv", "1.5\t1\t2\n2\t1\t2\n")
    assert read_series(path, quantity=True).labels.tolist() == [1.5, 2.0]
    path = write(tmp_path, "b.tsv", "1.5\t1\t2\nhigh\t1\t2\n")
    with pytest.raises(InvalidFile, match="'high'"):
        read_series(path, quantity=True)


def test_ts_has_channels_apart_by_colons_and_the_label_last(tmp_path):
    text = HEADER + "1,2,3:4,5,6:left\n# another\n7,8:9,10:right\n"
    table = read_series(write(tmp_path, "two.ts", text))
    assert table.labels.tolist() == ["left", "right"]
    assert [series.tolist() for series in table.series] == [[[1, 4], [2, 5], [3, 6]], [[7, 9], [8, 10]]]


def test_ts_of_a_quantity_and_without_labels(tmp_path):
    head = "@univariate true\n@equalLength true\n@seriesLength 2\n"
    table = read_series(write(tmp_path, "q.ts", head + "@targetlabel true\n@data\n1,2:0.25\n3,4:-7\n"))
    assert (table.kind, table.labels.tolist()) == ("number", [0.25, -7.0])
    table = read_series(write(tmp_path, "n.ts", head + "@classLabel false\n@data\n1,2\n3,4\n"))
    assert (table.kind, table.labels) == ("none", None)
    assert [series.tolist() for series in table.series] == [[[1], [2]], [[3], [4]]]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "1\t2\n", ".tsv or .ts"),
        ("a.tsv", "", "empty file"),
        ("a.tsv", b"\xff\xfe1\t2\n", "UTF-8"),
        ("a.tsv", "1\n", "line 1"),
        ("a.tsv", "1\t2\n1\tNaN\n", "line 2"),
        ("a.tsv", "1\t2\tNaN\t3\n", "missing value, 'NaN', at step 2 of line 1"),
        ("a.tsv", "1\t2\tabc\n", "'abc' at step 2 of line 1"),
        ("a.tsv", "1\t2\tinf\n", "'inf' at step 2 of line 1"),
        ("a.tsv", "1\t2\n\t3\n", "none for 1 of 2"),
        ("a.ts", "1,2:3\n", "above @data"),
        ("a.ts", "@problemName x\n", "a line @data"),
        ("a.ts", HEADER, "none"),
        ("a.ts", HEADER.replace("timeStamps false", "timeStamps true") + "(0,1):(0,2):left\n", "time stamps"),
        ("a.ts", HEADER.replace("timeStamps false", "timeStamps maybe"), "'maybe'"),
        ("a.ts", HEADER.replace("dimensions 2", "dimensions two"), "'two'"),
        ("a.ts", HEADER.replace("@data", "@targetLabel true\n@data"), "both true"),
        ("a.ts", HEADER + "1,2:left\n", "2 channels; got 1 in line 10"),
        ("a.ts", HEADER.replace("@dimensions 2\n", "") + "1,2:3,4:left\n1,2:left\n", "1 in line 10, 2 before"),
        ("a.ts", HEADER + "1,2:3,4,5:left\n", "2, 3 in line 10"),
        ("a.ts", HEADER + "1,?:3,4:left\n", "missing value, '?', at step 2 of line 10"),
        ("a.ts", HEADER + "1,2:3,4:middle\n", "'middle' in line 10"),
        ("a.ts", HEADER.replace("equalLength false", "equalLength true") + "1:3:left\n1,2:3,4:left\n", "length 1"),
        ("a.ts", "@equalLength true\n@seriesLength 3\n@data\n1,2\n", "length 3"),
        ("a.ts", "@classLabel true a b\n@data\na\n", "no colon"),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_line(tmp_path, name, text, message):
    with pytest.raises(InvalidFile, match=re.escape(message)) as caught:
        read_series(write(tmp_path, name, text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(InvalidFile, match="nothing there"):
        read_series(tmp_path / "a.tsv")
    (tmp_path / "b.ts").mkdir()
    with pytest.raises(InvalidFile, match="a folder"):
        read_series(tmp_path / "b.ts")
