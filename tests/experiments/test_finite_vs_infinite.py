"""The experiment from end to end on small settings."""

import csv

import pytest

from widenet.errors import InvalidFile, InvalidInput
from widenet.experiments.finite_arms import Budget
from widenet.experiments.finite_vs_infinite import CLAIMS, Settings, run

SMALL = Settings(
    sizes=(24, 20, 30),
    conv_sizes=(20, 20, 20),
    flow=((8, 4),),
    budget=Budget(width=8, members=2, steps=4, every=2),
    zca_ridges=(10.0,),
    members=2,
    widths=(2, 4),
    channels=(2, 3),
    sweep=Budget(members=2, steps=2),
)
TABLES = ("flow", "kernels", "finite", "widths", "stopping", "precision", "orderings")
FILES = {f"{stem}.{kind}" for stem in TABLES for kind in ("md", "csv")}
FILES |= {f"{stem}.{kind}" for stem in ("flow", "widths", "stopping") for kind in ("png", "svg")}


def test_the_experiment_writes_every_table_and_figure(tmp_path):
    calls = []
    outcome = run(tmp_path / "new", None, SMALL, lambda *call: calls.append(call))
    assert {path.name for path in outcome.files} == FILES | {"finite_vs_infinite.md"}
    assert all(path.is_file() and path.stat().st_size > 100 for path in outcome.files)
    assert [call[1:] for call in calls] == [(i, 7) for i in range(7)]
    report = (tmp_path / "new" / "finite_vs_infinite.md").read_text(encoding="utf-8")
    assert CLAIMS in report
    assert len(outcome.tables) == 7
    assert all(table.markdown() in report for table in outcome.tables)
    rows = list(csv.DictReader((tmp_path / "new" / "kernels.csv").open(encoding="utf-8")))
    assert [row["treatment"] for row in rows if row["network"] == "CNN-GAP"] == ["plain", "ZCA"] * 2
    assert len([row for row in rows if row["network"] == "FC"]) == 8


def test_folders_that_cannot_be_read_or_written_are_told_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidFile, match="one to write to"):
        run(tmp_path / "file", None, SMALL)
    with pytest.raises(InvalidFile, match="must exist"):
        run(tmp_path / "new", tmp_path / "absent", SMALL)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"sizes": (10, 50, 50)},
        {"conv_sizes": (500, 500, 500)},
        {"flow": ()},
        {"flow": ((8, 1),)},
        {"widths": (4,)},
        {"budget": Budget(members=1)},
        {"seed": -1},
        {"members": -1},
    ],
    ids=repr,
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(InvalidInput):
        Settings(**settings)


def test_quick_settings_keep_what_was_asked():
    assert (Settings.quick(seed=4, flips=True).seed, Settings.quick(flips=True).flips) == (4, True)
