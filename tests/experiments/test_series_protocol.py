import json

import pytest

from series_sets import waves
from widenet.errors import FingerprintMismatch, InvalidFile, InvalidInput
from widenet.experiments.series_methods import DenseFamily, KernelMethod, NearestNeighbour
from widenet.experiments.series_protocol import run_methods

METHODS = (KernelMethod(DenseFamily((1,), (0.1,))), NearestNeighbour())


def test_results_are_kept_and_read_again(tmp_path, monkeypatch):
    sets, told = [waves("First"), waves("Second", train=16)], []
    records = run_methods(sets, METHODS, tmp_path / "store", lambda *step: told.append(step))
    assert [(record.set, record.score.classifier) for record in records] == [
        (name, classifier) for name in ("First", "Second") for classifier in ("NTK, SVM", "NTK, ridge", "1-NN Euclid")
    ]
    assert told[0] == ("First, NTK, SVM and NTK, ridge", 0, 4)
    assert [step[1] for step in told] == [0, 1, 2, 3]
    assert len(list((tmp_path / "store").iterdir())) == 4

    def refuse(self, data):
        raise AssertionError("run again")

    monkeypatch.setattr(KernelMethod, "evaluate", refuse)
    assert run_methods(sets, METHODS, tmp_path / "store") == records


def test_results_of_other_data_or_grids_are_refused(tmp_path):
    run_methods([waves()], METHODS[1:], tmp_path)
    with pytest.raises(FingerprintMismatch):
        run_methods([waves(train=18)], METHODS[1:], tmp_path)
    run_methods([waves()], METHODS[:1], tmp_path)
    with pytest.raises(FingerprintMismatch):
        run_methods([waves()], (KernelMethod(DenseFamily((2,), (0.1,))),), tmp_path)


def test_a_broken_result_and_a_set_that_cannot_be_served_are_told(tmp_path):
    run_methods([waves()], METHODS[1:], tmp_path)
    (path,) = tmp_path.iterdir()
    document = json.loads(path.read_text())
    del document["scores"][0]["accuracy"]
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidFile, match="Delete it"):
        run_methods([waves()], METHODS[1:], tmp_path)
    with pytest.raises(InvalidInput, match=r"Uneven: .* one length"):
        run_methods([waves("Uneven", ragged=True)], METHODS[1:], tmp_path)
