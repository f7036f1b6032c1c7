import json
from pathlib import Path

import pytest

from widenet.cli.main import SUCCESS, run
from widenet.experiments import (
    bias_sparsity,
    efficient_ntk,
    finite_vs_infinite,
    laplace,
    orthogonal,
    residual,
    sketching,
    surrogate,
    tangent_power,
)
from widenet.experiments.outcome import Outcome


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ([], sketching.Settings()),
        (["--rows", "50", "--seeds", "4"], sketching.Settings(rows=50, seeds=4)),
        (["--quick", "--data", "folder"], sketching.Settings.quick()),
    ],
)
def test_settings_and_data_reach_the_comparison_of_features(options, settings, capsys, tmp_path, monkeypatch):
    asked = []

    def recorded(output, data=None, settings=None, progress=print):
        asked.extend([output, data, settings])
        return Outcome((), (output / "sketching.md",), "all said")

    monkeypatch.setattr(sketching, "run", recorded)
    assert run(["reproduce", "sketching", "--output", str(tmp_path), *options]) == SUCCESS
    assert asked == [tmp_path, Path("folder") if "--data" in options else None, settings]
    assert "all said" in capsys.readouterr().out


def test_the_experiment_gets_its_folders_and_its_files_are_listed(capsys, tmp_path, monkeypatch):
    asked = {}

    def recorded(output, data=None, settings=None, progress=print):
        asked.update(output=output, data=data)
        progress("part", 0, 1)
        return Outcome((), (output / "laplace.md",), "all said")

    monkeypatch.setattr(laplace, "run", recorded)
    arguments = ["reproduce", "laplace", "--output", str(tmp_path), "--data", str(tmp_path / "uci"), "--json"]
    assert run(arguments) == SUCCESS
    assert asked == {"output": tmp_path, "data": tmp_path / "uci"}
    document = json.loads(capsys.readouterr().out)
    assert document == {"paper": "laplace", "files": [str(tmp_path / "laplace.md")], "message": "all said"}


@pytest.mark.parametrize(
    ("paper", "options", "settings"),
    [
        ("residual", [], residual.Settings()),
        ("residual", ["--nets", "500", "--seed", "3"], residual.Settings(nets=500, seed=3)),
        ("residual", ["--quick"], residual.Settings.quick()),
        ("residual", ["--quick", "--nets", "200", "--seed", "2"], residual.Settings.quick(nets=200, seed=2)),
        ("bias-sparsity", [], bias_sparsity.Settings()),
        ("bias-sparsity", ["--width", "64", "--seed", "3"], bias_sparsity.Settings(width=64, seed=3)),
        ("bias-sparsity", ["--quick"], bias_sparsity.Settings.quick()),
        ("bias-sparsity", ["--quick", "--width", "64"], bias_sparsity.Settings.quick(width=64)),
        ("tangent-power", [], tangent_power.Settings()),
        ("tangent-power", ["--width", "64", "--seed", "3"], tangent_power.Settings(width=64, seed=3)),
        ("tangent-power", ["--quick"], tangent_power.Settings.quick()),
        ("tangent-power", ["--quick", "--width", "64"], tangent_power.Settings.quick(width=64)),
        ("orthogonal", [], orthogonal.Settings()),
        ("orthogonal", ["--draws", "50", "--seed", "3"], orthogonal.Settings(draws=50, seed=3)),
        ("orthogonal", ["--quick"], orthogonal.Settings.quick()),
        ("orthogonal", ["--quick", "--draws", "60"], orthogonal.Settings.quick(draws=60)),
        ("efficient-ntk", [], efficient_ntk.Settings()),
        ("efficient-ntk", ["--data", "x.npz", "--width", "64"], efficient_ntk.Settings(width=64, data=Path("x.npz"))),
        ("efficient-ntk", ["--quick", "--seed", "3"], efficient_ntk.Settings.quick(seed=3)),
        ("surrogate", [], surrogate.Settings()),
        ("surrogate", ["--quick", "--width", "64", "--seed", "3"], surrogate.Settings.quick(width=64, seed=3)),
    ],
)
def test_the_sizes_of_random_experiments_are_options(capsys, tmp_path, monkeypatch, paper, options, settings):
    asked = []

    def recorded(output, settings, progress):
        asked.extend([output, settings])
        return Outcome((), (output / "report.md",), "all said")

    modules = {"residual": residual, "bias-sparsity": bias_sparsity, "tangent-power": tangent_power}
    modules |= {"orthogonal": orthogonal, "surrogate": surrogate, "efficient-ntk": efficient_ntk}
    monkeypatch.setattr(modules[paper], "run", recorded)
    assert run(["reproduce", paper, "--output", str(tmp_path), *options]) == SUCCESS
    assert asked == [tmp_path, settings]
    assert "all said" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ([], finite_vs_infinite.Settings()),
        (["--quick", "--seed", "3", "--flips"], finite_vs_infinite.Settings.quick(seed=3, flips=True)),
        (["--data", "images", "--flips"], finite_vs_infinite.Settings(flips=True)),
    ],
)
def test_networks_and_kernels_take_images_of_a_folder(capsys, tmp_path, monkeypatch, options, settings):
    asked = []

    def recorded(output, data, settings, progress):
        asked.extend([output, data, settings])
        return Outcome((), (output / "report.md",), "all said")

    monkeypatch.setattr(finite_vs_infinite, "run", recorded)
    assert run(["reproduce", "finite-vs-infinite", "--output", str(tmp_path), *options]) == SUCCESS
    assert asked == [tmp_path, Path("images") if "--data" in options else None, settings]
    assert "all said" in capsys.readouterr().out


def test_other_papers_and_folders_are_refused(assert_refused, tmp_path):
    assert_refused(["reproduce", "gauss"], "gauss")
    assert_refused(["reproduce", "laplace", "--output", str(tmp_path), "--data", str(tmp_path / "absent")], "absent")
    assert_refused(["reproduce", "residual", "--nets", "5"], "--nets")
    assert_refused(["reproduce", "bias-sparsity", "--width", "7", "--output", str(tmp_path)], "must be even")
