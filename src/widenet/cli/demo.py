"""`widenet demo`: a comparison on real data that ships with scikit-learn."""

from pathlib import Path
from typing import Annotated, Any

import typer


def command(
    folder: Annotated[Path, typer.Option(help="Where the table and the report go.")] = Path("demo"),
    data: Annotated[str, typer.Option(help="diabetes (regression) or cancer (classification).")] = "diabetes",
) -> None:
    """Compare all kernels with tuned peers on a real data set of scikit-learn, and write the report."""
    from sklearn.datasets import load_breast_cancer, load_diabetes

    from widenet.cli.compare import print_comparison
    from widenet.cli.console import note, progress_bar
    from widenet.errors import InvalidFile, InvalidInput
    from widenet.experiments.comparison import Plan, compare
    from widenet.experiments.methods import chosen_methods
    from widenet.experiments.report import write_report
    from widenet.experiments.tables import read_frame, split_target
    from widenet.experiments.written import check_writable, written_aside

    if data not in ("diabetes", "cancer"):
        raise InvalidInput("the demo has the data sets diabetes and cancer", repr(data))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidFile(f"{folder} cannot be made", error.strerror or type(error).__name__) from None
    path, report = folder / f"{data}.csv", folder / f"{data}.html"
    check_writable(report)
    if data == "diabetes":
        bunch: Any = load_diabetes(as_frame=True, scaled=False)
        frame, target = bunch["frame"], "progression"
        frame = frame.rename(columns={"target": target})
        frame["sex"] = frame["sex"].map({1.0: "one", 2.0: "two"})
    else:
        bunch = load_breast_cancer(as_frame=True)
        frame, target = bunch["frame"].rename(columns={"target": "diagnosis"}), "diagnosis"
        frame[target] = frame[target].map(dict(enumerate(bunch["target_names"])))
    with written_aside(path) as aside:
        frame.to_csv(aside, index=False)
    table = split_target(read_frame(path), target, name=path.name)
    with progress_bar("comparing") as step:
        comparison = compare(table, chosen_methods(table.task, None), Plan(), step)
    write_report(comparison, report, f"widenet compare {path} --target {target} --report {report}")
    print_comparison(comparison)
    note(f"data: {path}\nreport: {report.resolve()}")
