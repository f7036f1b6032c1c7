import json

import numpy as np
import pandas as pd

from widenet.cli.main import SUCCESS, run


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


def test_predict_refuses_unequal_columns_and_corrupt_models(assert_refused, capsys, table, tmp_path):
    assert run(["fit", "table.csv", "--target", "c", "--model", "model", "--kernel", "laplace"]) == SUCCESS
    capsys.readouterr()
    table[["a", "y"]].to_csv("narrow.csv", index=False)
    assert_refused(["predict", "model", "narrow.csv"], "1 missing: b")
    content = (tmp_path / "model").read_bytes()
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    assert_refused(["predict", "cut", "table.csv"], "must be a model saved by `widenet fit`")
