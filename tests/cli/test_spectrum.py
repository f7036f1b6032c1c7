import json

import numpy as np

from widenet.cli.main import SUCCESS, run


def test_spectrum_prints_known_eigenvalues(capsys):
    assert run(["spectrum", "laplace", "--dimension", "3", "--degrees", "2", "--json"]) == SUCCESS
    values = [row["eigenvalue"] for row in json.loads(capsys.readouterr().out)["degrees"]]
    # Closed form lambda_0 = (1 - 3 exp(-2)) / 2; the others from the specification of the experiment.
    np.testing.assert_allclose(values, [(1 - 3 * np.exp(-2)) / 2, 0.082682265892902, 0.026733838202368], rtol=1e-12)
