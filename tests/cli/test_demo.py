import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes

from widenet.cli.main import SUCCESS, run
from widenet.experiments import methods


@pytest.mark.parametrize(
    ("data", "target", "rows"),
    [
        ("diabetes", "progression", len(load_diabetes().target)),
        ("cancer", "diagnosis", len(load_breast_cancer().target)),
    ],
)
def test_the_demo_says_where_data_and_report_lie(capsys, tmp_path, monkeypatch, data, target, rows):
    every = methods.all_methods
    quick = ("Laplace", "ridge", "logistic")
    monkeypatch.setattr(methods, "all_methods", lambda task: [m for m in every(task) if m.name in quick])
    assert run(["demo", "--folder", str(tmp_path / "demo"), "--data", data]) == SUCCESS
    out, err = capsys.readouterr()
    assert "Best: " in out
    assert f"{data}.html" in err
    assert (tmp_path / "demo" / f"{data}.html").read_text().startswith("<!DOCTYPE html>")
    frame = pd.read_csv(tmp_path / "demo" / f"{data}.csv")
    assert len(frame) == rows
    assert target in frame.columns


def test_other_data_is_refused(assert_refused, tmp_path):
    assert_refused(["demo", "--folder", str(tmp_path / "demo"), "--data", "iris"], "diabetes and cancer")
