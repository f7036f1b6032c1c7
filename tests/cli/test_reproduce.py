import json

from widenet.cli.main import SUCCESS, run
from widenet.experiments import laplace


def test_the_experiment_gets_its_folders_and_its_files_are_listed(capsys, tmp_path, monkeypatch):
    asked = {}

    def recorded(output, data=None, settings=None, progress=print):
        asked.update(output=output, data=data)
        progress("part", 0, 1)
        return laplace.Outcome((), (output / "laplace.md",), "all said")

    monkeypatch.setattr(laplace, "run", recorded)
    arguments = ["reproduce", "laplace", "--output", str(tmp_path), "--data", str(tmp_path / "uci"), "--json"]
    assert run(arguments) == SUCCESS
    assert asked == {"output": tmp_path, "data": tmp_path / "uci"}
    document = json.loads(capsys.readouterr().out)
    assert document == {"paper": "laplace", "files": [str(tmp_path / "laplace.md")], "message": "all said"}


def test_other_papers_and_folders_are_refused(assert_refused, tmp_path):
    assert_refused(["reproduce", "gauss"], "gauss")
    assert_refused(["reproduce", "laplace", "--output", str(tmp_path), "--data", str(tmp_path / "absent")], "absent")
