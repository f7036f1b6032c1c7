import numpy as np
import pandas as pd
import pytest

from widenet.errors import InvalidInput
from widenet.estimators.table_cells import (
    clean,
    finite,
    inferred_numbers,
    labels,
    listed,
    mark_missing,
    read_numbers,
    shown,
)


def test_text_that_stands_for_nothing_is_missing():
    cells = mark_missing(pd.Series(["1", " ? ", "", "NA", " x "]))
    assert cells.isna().tolist() == [False, True, True, True, False]
    assert cells.tolist()[4] == "x"


def test_formats_of_dates_are_found():
    _, formats = clean(pd.DataFrame({"d": ["31/12/2020", "01/02/2021"], "n": [1, 2]}))
    assert formats == {"d": "%d/%m/%Y"}


def test_numbers_are_told_from_text():
    assert inferred_numbers(pd.Series(["1", "2.5", None])).tolist()[:2] == [1.0, 2.5]
    assert inferred_numbers(pd.Series(["1", "two", "3"])) is None
    assert inferred_numbers(pd.Series([True, False])).tolist() == [1.0, 0.0]
    assert inferred_numbers(pd.to_timedelta(pd.Series([1, 2]), unit="s")).tolist() == [1.0, 2.0]
    with pytest.raises(InvalidInput, match="text in 1 of 3 rows, the first is 'two' in row 2"):
        read_numbers(pd.Series(["1", "two", "3"], name="n"))


def test_infinity_is_refused_and_missing_numbers_are_nan():
    assert np.isnan(finite(pd.Series([1.0, None]))[1])
    with pytest.raises(InvalidInput, match="row 2"):
        finite(pd.Series([1.0, -np.inf]))


def test_words():
    assert labels(pd.Series([1, None], dtype=object)).tolist()[0] == "1"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert len(shown("x" * 100)) <= 42
