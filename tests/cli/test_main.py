import subprocess
import sys

import pytest
import torch

from widenet.cli.main import BAD_INPUT, FAILURE, SUCCESS, run
from widenet.experiments import predictor


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


@pytest.mark.parametrize("arguments", [[], ["reproduce"]])
def test_a_missing_command_is_answered_with_the_help_alone(capsys, arguments):
    assert run(arguments) == BAD_INPUT
    out, error = capsys.readouterr()
    assert "COMMAND" in out
    assert error == ""


def test_version(capsys):
    from widenet import __version__

    assert run(["--version"]) == SUCCESS
    assert capsys.readouterr().out == f"widenet {__version__}\n"


def test_memory_that_torch_cannot_have_is_a_failure_in_one_line(assert_refused, monkeypatch, table):
    monkeypatch.setattr(predictor.Predictor, "fit", lambda *arguments: torch.empty(2**60, dtype=torch.uint8))
    assert_refused(["fit", "table.csv", "--target", "y", "--model", "m"], "not enough memory", FAILURE)


def test_other_errors_of_the_program_are_not_hidden(monkeypatch, table):
    def broken(*arguments):
        raise RuntimeError("a defect")

    monkeypatch.setattr(predictor.Predictor, "fit", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        run(["fit", "table.csv", "--target", "y", "--model", "m"])


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
def test_bad_usage_and_input_is_one_line_and_code_2(assert_refused, table, arguments, message):
    assert_refused(arguments, message)
