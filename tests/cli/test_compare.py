import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from widenet.cli.main import INTERRUPTED, SUCCESS, run

PROGRAM = [sys.executable, "-c", "from widenet.cli.main import app; app()"]


def test_compare_prints_one_json_document_and_writes_the_report(capsys, table, tmp_path):
    arguments = ["compare", "table.csv", "--target", "c", "--methods", "Laplace,logistic", "--json", "--folds", "3"]
    assert run([*arguments, "--report", "r.html"]) == SUCCESS
    document = json.loads(capsys.readouterr().out)
    assert document["task"] == "classification"
    assert {method["method"] for method in document["methods"]} == {"Laplace", "logistic"}
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")


def test_wrong_cells_are_told_by_their_row_in_the_file(assert_refused, table):
    table.loc[57, "a"] = np.inf
    table.to_csv("table.csv", index=False)
    assert_refused(["compare", "table.csv", "--target", "y", "--methods", "ridge", "--max-rows", "30"], "row 58")


@pytest.mark.parametrize("name", ["[x]", "[/y]", "[bold]"])
def test_names_in_square_brackets_are_printed_as_they_are(capsys, table, name):
    table.rename(columns={"y": name}).to_csv("table.csv", index=False)
    assert run(["compare", "table.csv", "--target", name, "--methods", "ridge", "--folds", "2"]) == SUCCESS
    assert f"table.csv: regression of {name}" in " ".join(capsys.readouterr().out.split())


def test_an_interrupt_ends_with_130_and_leaves_nothing(table, tmp_path):
    large = pd.concat([table] * 40, ignore_index=True)
    large["a"] += np.random.default_rng(1).normal(size=len(large))
    large.to_csv("large.csv", index=False)
    before = sorted(file.name for file in tmp_path.iterdir())
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    arguments = ["compare", "large.csv", "--target", "y", "--methods", "random forest,gradient boosting"]
    with subprocess.Popen([*PROGRAM, *arguments], stdout=-1, stderr=-1, text=True, env=environment) as process:
        deadline = time.monotonic() + 60
        # The package of the forests' trees is loaded just before the work, which takes a minute and more.
        while "sklearn/tree/_tree" not in Path(f"/proc/{process.pid}/maps").read_text():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert err.strip().splitlines() == ["widenet: interrupted; nothing was left half-written"]
    assert sorted(file.name for file in tmp_path.iterdir()) == before
