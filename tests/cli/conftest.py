import numpy as np
import pandas as pd
import pytest

from widenet.cli.main import BAD_INPUT, run


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=60), "b": rng.choice(["p", "q"], 60)})
    frame["y"] = frame["a"] + 0.1 * rng.normal(size=60)
    frame["c"] = np.where(frame["a"] > 0, "up", "down")
    frame.to_csv("table.csv", index=False)
    return frame


@pytest.fixture
def assert_refused(capsys):
    def check(arguments, message, code=BAD_INPUT):
        assert run(arguments) == code
        out, err = capsys.readouterr()
        assert out == ""
        assert message in err
        assert len(err.splitlines()) == 1
        assert "Traceback" not in err

    return check
