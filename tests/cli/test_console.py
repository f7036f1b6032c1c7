import json

import numpy as np

from widenet.cli.console import note, print_json, progress_bar


def test_json_is_one_document_without_nan(capsys):
    print_json({"a": [1.5, float("nan")], "b": {"c": float("inf")}, "d": (np.float64(2.0), "ü")})
    assert json.loads(capsys.readouterr().out) == {"a": [1.5, None], "b": {"c": None}, "d": [2.0, "ü"]}


def test_notes_and_bars_stay_off_standard_output(capsys):
    with progress_bar("working") as step:
        step("part", 1, 2)
    note("done")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "done\n"
