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

from widenet.cli.main import BAD_INPUT, FAILURE, INTERRUPTED, SUCCESS, run

PROGRAM = [sys.executable, "-c", "from widenet.cli.main import app; app()"]


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.choice(["p", "q"], 60)})
    frame["y"] = frame["a"] + 0.1 * rng.normal(size=60)
    frame["c"] = np.where(frame["a"] > 0, "up", "down")
    frame.to_csv("table.csv", index=False)
    return frame


def refused(capsys, arguments, message, code=BAD_INPUT):
    assert run(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


def test_help_answers_without_the_libraries():
    code = (
        "import sys\n"
        "from widenet.cli.main import run\n"
        "code = run(['--help'])\n"
        "heavy = [name for name in ('torch', 'pandas', 'sklearn', 'skrub', 'numba') if name in sys.modules]\n"
        "assert code == 0 and not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("compare", "fit", "predict", "spectrum", "reproduce", "demo", "Exit codes"):
        assert name in done.stdout


@pytest.mark.parametrize("command", ["compare", "fit", "predict", "spectrum", "reproduce"])
def test_every_command_has_help_with_examples(capsys, command):
    assert run([command, "--help"]) == SUCCESS
    assert f"widenet {command} " in capsys.readouterr().out


def test_version(capsys):
    from widenet import __version__

    assert run(["--version"]) == SUCCESS
    assert capsys.readouterr().out == f"widenet {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compere"], "compere"),
        (["compare", "table.csv"], "--target"),
        (["compare", "table.csv", "--target", "y", "--folds", "two"], "'--folds'"),
        (["compare", "table.csv", "--target", "y", "--task", "ranking"], "ranking"),
        (["compare", "absent.csv", "--target", "y"], "nothing there"),
        (["compare", "table.csv", "--target", "z"], "The nearest name is"),
        (["compare", "table.csv", "--target", "y", "--methods", "magic"], "no such method"),
        (["compare", "table.csv", "--target", "y", "--report", "no/folder.html"], "cannot be written"),
        (["fit", "table.csv", "--target", "y", "--model", "no/model"], "cannot be written"),
        (["fit", "table.csv", "--target", "y", "--model", "m", "--kernel", "magic"], "no such kernel"),
        (["predict", "table.csv", "table.csv"], "must be a model saved by `widenet fit`"),
        (["predict", "absent", "table.csv"], "absent"),
        (["spectrum", "laplace", "--dimension", "1"], "'--dimension'"),
        (["spectrum", "magic"], "no such kernel"),
    ],
)
def test_bad_usage_and_input_is_one_line_and_code_2(capsys, table, arguments, message):
    refused(capsys, arguments, message)


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
def test_bad_tables_are_one_line_and_code_2(capsys, tmp_path, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.csv").write_text(content)
    refused(capsys, ["fit", "bad.csv", "--target", "y", "--model", "model"], message)
    assert [file.name for file in tmp_path.iterdir()] == ["bad.csv"]


def test_fit_then_predict(capsys, table, tmp_path):
    assert run(["fit", "table.csv", "--target", "y", "--model", "model", "--kernel", "laplace", "--json"]) == SUCCESS
    document = json.loads(capsys.readouterr().out)
    assert document["kernel"] == "Laplace(scale=1.0)"
    assert run(["predict", "model", "table.csv", "--output", "out.parquet"]) == SUCCESS
    predicted = pd.read_parquet("out.parquet")
    assert list(predicted.columns) == ["prediction", "std"]
    assert np.corrcoef(predicted["prediction"], table["y"])[0, 1] > 0.9
    assert run(["predict", "model", "table.csv"]) == SUCCESS
    assert capsys.readouterr().out.splitlines()[0] == "prediction,std"


def test_predict_refuses_unequal_columns_and_corrupt_models(capsys, table, tmp_path):
    assert run(["fit", "table.csv", "--target", "c", "--model", "model", "--kernel", "laplace"]) == SUCCESS
    capsys.readouterr()
    table[["a", "y"]].to_csv("narrow.csv", index=False)
    refused(capsys, ["predict", "model", "narrow.csv"], "1 missing: b")
    content = (tmp_path / "model").read_bytes()
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    refused(capsys, ["predict", "cut", "table.csv"], "must be a model saved by `widenet fit`")


def test_compare_prints_one_json_document_and_writes_the_report(capsys, table, tmp_path):
    arguments = ["compare", "table.csv", "--target", "c", "--methods", "Laplace,logistic", "--json", "--folds", "3"]
    assert run([*arguments, "--report", "r.html"]) == SUCCESS
    document = json.loads(capsys.readouterr().out)
    assert document["task"] == "classification"
    assert {method["method"] for method in document["methods"]} == {"Laplace", "logistic"}
    assert (tmp_path / "r.html").read_text().startswith("<!DOCTYPE html>")


def test_spectrum_prints_known_eigenvalues(capsys):
    assert run(["spectrum", "laplace", "--dimension", "3", "--degrees", "2", "--json"]) == SUCCESS
    values = [row["eigenvalue"] for row in json.loads(capsys.readouterr().out)["degrees"]]
    # Closed form lambda_0 = (1 - 3 exp(-2)) / 2; the others from the specification of the experiment.
    np.testing.assert_allclose(values, [(1 - 3 * np.exp(-2)) / 2, 0.082682265892902, 0.026733838202368], rtol=1e-12)


def test_out_of_memory_is_a_failure(capsys, monkeypatch, table):
    from widenet.errors import MemoryLimitExceeded
    from widenet.experiments import predictor

    def exhausted(*arguments):
        raise MemoryLimitExceeded("a Gram matrix needs memory", "8 GiB", "Use fewer rows")

    monkeypatch.setattr(predictor.Predictor, "fit", exhausted)
    refused(capsys, ["fit", "table.csv", "--target", "y", "--model", "m"], "8 GiB. Use fewer rows", FAILURE)


def test_an_interrupt_ends_with_130_and_leaves_nothing(table, tmp_path):
    large = pd.concat([table] * 40, ignore_index=True)
    large["a"] += np.random.default_rng(1).normal(size=len(large))
    large.to_csv("large.csv", index=False)
    before = sorted(file.name for file in tmp_path.iterdir())
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    arguments = ["compare", "large.csv", "--target", "y", "--methods", "random forest,gradient boosting"]
    with subprocess.Popen([*PROGRAM, *arguments], stdout=-1, stderr=-1, text=True, env=environment) as process:
        while "sklearn" not in Path(f"/proc/{process.pid}/maps").read_text():
            time.sleep(0.05)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert err.strip().splitlines() == ["widenet: interrupted; nothing was left half-written"]
    assert sorted(file.name for file in tmp_path.iterdir()) == before
