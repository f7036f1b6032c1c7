"""Tables of results as Markdown and CSV, read back by a CSV reader."""

import csv
import io

import numpy as np
import pytest

from widenet.errors import InvalidFile, InvalidInput
from widenet.experiments.result_tables import Column, ResultTable

TABLE = ResultTable(
    "Means | a title",
    (Column("method"), Column("mean", ".2f"), Column("count")),
    (("NTK|x", 1 / 3, 7), ("Laplace, plain", -2.0, None), ("none", float("nan"), 0)),
    ("A note.",),
)


def test_markdown_by_hand():
    assert TABLE.markdown().splitlines() == [
        "### Means | a title",
        "",
        "| method | mean | count |",
        "|---|---:|---:|",
        "| NTK\\|x | 0.33 | 7 |",
        "| Laplace, plain | −2.00 |  |",
        "| none |  | 0 |",
        "",
        "- A note.",
    ]


def test_csv_keeps_every_digit():
    rows = list(csv.reader(io.StringIO(TABLE.csv())))
    assert rows[0] == ["method", "mean", "count"]
    assert float(rows[1][1]) == 1 / 3
    assert rows[2] == ["Laplace, plain", "-2.0", ""]


def test_csv_writes_numpy_numbers_plainly():
    table = ResultTable("t", (Column("a"), Column("b")), ((np.float64(0.1), np.float64(1e-300)),))
    assert table.csv() == "a,b\n0.1,1e-300\n"


def test_files_hold_the_same(tmp_path):
    markdown, table = TABLE.save(tmp_path, "means")
    assert markdown.read_text(encoding="utf-8") == TABLE.markdown() + "\n"
    assert table.read_text(encoding="utf-8") == TABLE.csv()
    assert {path.name for path in tmp_path.iterdir()} == {"means.md", "means.csv"}


def test_rows_must_fit_the_columns():
    with pytest.raises(InvalidInput, match="row 1 of 't' must have 2 cells; got 1 cells"):
        ResultTable("t", (Column("a"), Column("b")), ((1, 2), (3,)))


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(InvalidFile):
        TABLE.save(tmp_path / "none", "means")
