import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators.table_encoder import TableEncoder

RNG = np.random.default_rng(0)
ROWS = 40
MIXED = pd.DataFrame(
    {
        "number": RNG.normal(3.0, 2.0, ROWS),
        "number as text": ["?" if i % 8 == 0 else str(1.5 * i) for i in range(ROWS)],
        "category": RNG.choice(["x", "y", "z"], ROWS),
        "day first": pd.date_range("2020-01-01", periods=ROWS, freq="3D").strftime("%d/%m/%Y"),
        "time": pd.date_range("2020-01-01", periods=ROWS, freq="7h", tz="Europe/Paris"),
        "identifier": [f"name {i}" for i in range(ROWS)],
        "constant": 1,
        "nothing": None,
        "flag": RNG.random(ROWS) > 0.5,
        "whole": pd.array([None if i % 5 == 0 else i for i in range(ROWS)], dtype="Int64"),
    }
)


def test_kinds_are_found():
    kinds = {column.name: column.kind for column in TableEncoder().fit(MIXED).columns_}
    assert kinds == {
        "number": "number",
        "number as text": "number",
        "category": "category",
        "day first": "date",
        "time": "date",
        "identifier": "dropped",
        "constant": "dropped",
        "nothing": "dropped",
        "flag": "number",
        "whole": "number",
    }


def test_numbers_are_centred_and_scaled_and_gaps_take_the_mean():
    encoded = TableEncoder().fit_transform(pd.DataFrame({"a": [1.0, 3.0, None, 5.0]}))
    deviation = np.sqrt(8 / 3)
    np.testing.assert_allclose(encoded[:, 0], [-2 / deviation, 0, 0, 2 / deviation], atol=1e-15)
    np.testing.assert_allclose(encoded[:, 1], (np.array([0, 0, 1, 0]) - 0.25) / np.sqrt(3 / 16), atol=1e-15)


def test_a_category_counts_like_a_number_in_a_distance():
    encoded = TableEncoder().fit_transform(pd.DataFrame({"a": ["x", "y", "z", "x", "y", "x"], "b": range(6)}))
    assert encoded[:, :-1].var(axis=0).sum() == pytest.approx(1.0)
    assert encoded[:, -1].var() == pytest.approx(1.0)


def test_parts_of_dates_are_read_by_the_calendar():
    days = pd.DataFrame({"day": ["2021-01-04", "2021-04-05", "2021-07-05", "2021-10-05"]})
    encoder = TableEncoder().fit(days)
    (column,) = encoder.columns_
    raw = encoder.transform(days) * column.scales + column.means
    parts = dict(zip(column.parts, raw.T, strict=True))
    np.testing.assert_allclose(np.diff(parts["time"]), [91, 91, 92])
    np.testing.assert_allclose(parts["sine of month"], [0, 1, 0, -1], atol=1e-12)
    np.testing.assert_allclose(parts["cosine of weekday"][:3], 1.0)  # Mondays


def test_single_rows_are_encoded_as_in_the_whole_table():
    encoder = TableEncoder().fit(MIXED)
    whole = encoder.transform(MIXED)
    assert np.isfinite(whole).all()
    for row in range(0, ROWS, 7):
        np.testing.assert_array_equal(encoder.transform(MIXED.iloc[[row]]), whole[[row]])


def test_the_state_goes_through_json():
    encoder = TableEncoder(max_categories=2).fit(MIXED)
    restored = TableEncoder.from_json(encoder.to_json())
    assert restored.max_categories == 2
    np.testing.assert_array_equal(restored.transform(MIXED), encoder.transform(MIXED))
    np.testing.assert_array_equal(restored.get_feature_names_out(), encoder.get_feature_names_out())


def test_typed_columns_keep_their_kinds_and_numbers_in_any_rows():
    encoder = TableEncoder().fit(MIXED)
    typed = encoder.typed(MIXED)
    kept = [column.name for column in encoder.columns_ if column.kind != "dropped"]
    np.testing.assert_array_equal(TableEncoder().fit_transform(typed[kept]), encoder.transform(MIXED))
    few = TableEncoder().fit(typed[kept].iloc[:12])
    assert [c.kind for c in few.columns_] == [c.kind for c in encoder.columns_ if c.kind != "dropped"]
    assert typed["number as text"].isna().tolist() == MIXED["number as text"].eq("?").tolist()


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.text(max_size=50), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_other_text_is_no_state(text):
    with pytest.raises(InvalidFile):
        TableEncoder.from_json(text)


def test_states_with_lengths_that_disagree_are_refused():
    state = json.loads(TableEncoder().fit(MIXED).to_json())
    state["columns"][0]["means"] = []
    with pytest.raises(InvalidFile, match="unequal length"):
        TableEncoder.from_json(json.dumps(state))


def test_unseen_categories_share_one_part():
    encoder = TableEncoder().fit(pd.DataFrame({"a": ["x", "y", "x", "y"]}))
    new = encoder.transform(pd.DataFrame({"a": ["p", "q"]}))
    np.testing.assert_array_equal(new[0], new[1])
    assert new[0, -1] > 1


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": [1.0, np.inf, 3.0]}), "infinity in 1 of 3 rows, the first is row 2"),
        (pd.DataFrame({"a": [*map(str, range(30)), "abc"]}), "text in 1 of 31 rows, the first is 'abc' in row 31"),
        (pd.DataFrame({"a": [1.0, 1.0]}), "at least one feature column that varies"),
        (pd.DataFrame({"a": []}), "needs rows"),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "name of its own"),
        (pd.DataFrame({"a": [[1], [2]]}), "nested"),
        (pd.DataFrame({"a": [1e200, -1e200, 3e200]}), "finite mean and spread"),
        (np.zeros((3, 2)), "DataFrame"),
    ],
)
def test_tables_that_cannot_be_encoded_are_refused(frame, message):
    with pytest.raises(InvalidInput, match=message):
        TableEncoder().fit(frame)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"number": "many"}, "column 'number' must hold numbers"),
        ({"number": np.inf}, "column 'number' must hold finite numbers"),
        ({"day first": "2020-31-12"}, "column 'day first' must hold dates like %d/%m/%Y"),
    ],
)
def test_cells_of_another_kind_are_refused_at_transform(change, message):
    encoder = TableEncoder().fit(MIXED)
    with pytest.raises(InvalidInput, match=message):
        encoder.transform(MIXED.assign(**change))


def test_missing_columns_are_named_and_further_ones_are_not_looked_at():
    encoder = TableEncoder().fit(MIXED)
    with pytest.raises(InvalidInput, match="2 missing: number, flag"):
        encoder.transform(MIXED.drop(columns=["flag", "number"]))
    np.testing.assert_array_equal(encoder.transform(MIXED.assign(more=1)), encoder.transform(MIXED))


def test_text_is_encoded_like_cells_of_mixed_kinds():
    cells = [" a", "b", None, "a", "?", "new", np.nan]
    encoder = TableEncoder().fit(pd.DataFrame({"x": ["a", "b", "c", "a", None], "y": [1.0, 2.0, 3.0, 4.0, 5.0]}))
    text = pd.DataFrame({"x": cells, "y": np.arange(7.0)})
    # A number among the texts takes the way of single cells.
    mixed = pd.DataFrame({"x": [*cells, 7], "y": np.arange(8.0)})
    expected = encoder.transform(mixed)[:7]
    for frame in (text, text.astype({"x": "string"}), text.astype({"x": "category"})):
        assert np.array_equal(encoder.transform(frame)[[0, 1, 3]], expected[[0, 1, 3]])
    assert np.array_equal(encoder.transform(text), expected)
    names = encoder.get_feature_names_out().tolist()
    assert np.argmax(expected[5, :5]) == names.index("x: other")
