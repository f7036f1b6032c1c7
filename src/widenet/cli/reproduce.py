"""`widenet reproduce`: papers run again, one command a paper."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from widenet.experiments.outcome import Outcome, Progress

EXAMPLES = """Examples:

  widenet reproduce laplace

  widenet reproduce laplace --data uci/ --output laplace-uci

  widenet reproduce rntk ucr/ --quick

  widenet reproduce residual --quick

  widenet reproduce residual --nets 50000 --seed 1

  widenet reproduce bias-sparsity --width 16384

  widenet reproduce finite-vs-infinite --data fashion-mnist/ --flips

  widenet reproduce efficient-ntk --data fashion-mnist/

  widenet reproduce tangent-power --quick

  widenet reproduce sketching --data fashion-mnist/ --rows 2000 --seeds 2
"""

papers = typer.Typer(
    help="Compute the tables and figures of a paper anew: Markdown, CSV, PNG and SVG.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Quick = Annotated[bool, typer.Option("--quick", help="Small sizes: seconds instead of minutes.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@papers.command()
def laplace(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/laplace"),
    data: Annotated[Path | None, typer.Option(help="Folder of data sets with official splits (.npz).")] = None,
    json: AsJson = False,
) -> None:
    """Neural tangent and Laplace kernels: spectra, matched shapes, small data (arXiv 2007.01580, 1910.01663)."""
    from widenet.experiments import laplace

    _carry_out("laplace", lambda step: laplace.run(output, data, progress=step), output, json)


@papers.command()
def rntk(
    data: Annotated[Path, typer.Argument(help="Folder of sets: NAME.npz, or NAME/NAME_TRAIN.tsv and _TEST.tsv.")],
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/rntk"),
    sets: Annotated[str, typer.Option(help="Names of sets, apart by commas; all of the folder if left out.")] = "",
    full: Annotated[bool, typer.Option("--full", help="All 900 published networks: hours instead of minutes.")] = False,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Recurrent kernels of time series beside dense and Gaussian ones and nearest neighbours (arXiv 2006.10246)."""
    from widenet.experiments import rntk

    if full and quick:
        raise typer.BadParameter("--full and --quick exclude each other")
    settings = rntk.Settings.of("published" if full else "quick" if quick else "reduced", sets)
    _carry_out("rntk", lambda step: rntk.run(data, output, settings, step), output, json)


@papers.command()
def residual(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/residual"),
    nets: Annotated[int | None, typer.Option(min=100, help="Networks of each ensemble (10000, or 1000).")] = None,
    seed: Seed = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """ResNets and DenseNets: exact kernels, how finite ones fluctuate, gradients as features (arXiv 2001.10460)."""
    from widenet.experiments import residual

    settings = _settings(residual.Settings, quick, {"nets": nets, "seed": seed})
    _carry_out("residual", lambda step: residual.run(output, settings, step), output, json)


@papers.command(name="bias-sparsity")
def bias_sparsity(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/bias-sparsity"),
    width: Annotated[int | None, typer.Option(min=2, help="Hidden units, even (8192, or 2048).")] = None,
    seed: Seed = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Units below a threshold: sparse training, conditioning, spectra, accuracy (arXiv 2301.00327)."""
    from widenet.experiments import bias_sparsity

    settings = _settings(bias_sparsity.Settings, quick, {"width": width, "seed": seed})
    _carry_out("bias-sparsity", lambda step: bias_sparsity.run(output, settings, step), output, json)


@papers.command(name="tangent-power")
def tangent_power(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/tangent-power"),
    width: Annotated[int | None, typer.Option(min=2, help="Hidden units of the networks, even (256).")] = None,
    seed: Seed = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Gradient descent against tangent kernels on parities: errors, edges, bounds, recovery (arXiv 2103.01210)."""
    from widenet.experiments import tangent_power

    settings = _settings(tangent_power.Settings, quick, {"width": width, "seed": seed})
    _carry_out("tangent-power", lambda step: tangent_power.run(output, settings, step), output, json)


@papers.command()
def orthogonal(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/orthogonal"),
    draws: Annotated[int | None, typer.Option(min=2, help="Networks of each ensemble (4000, or 300).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="First of all seeds.")] = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Orthogonal weights: fluctuations, drift of the NTK, speed of training (arXiv 2004.05867, 2310.07765)."""
    from widenet.experiments import orthogonal

    settings = _settings(orthogonal.Settings, quick, {"draws": draws, "seed": seed})
    _carry_out("orthogonal", lambda step: orthogonal.run(output, settings, step), output, json)


@papers.command(name="efficient-ntk")
def efficient_ntk(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/efficient-ntk"),
    data: Annotated[Path | None, typer.Option(help="Real set: .npz with X and y, or MNIST's files.")] = None,
    width: Annotated[int | None, typer.Option(min=64, help="Hidden units (16384, or 2048).")] = None,
    seed: Seed = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Wide layers as products of two: cost, training to one loss, kernels (arXiv 2210.04807)."""
    from widenet.experiments import efficient_ntk

    settings = _settings(efficient_ntk.Settings, quick, {"width": width, "data": data, "seed": seed})
    _carry_out("efficient-ntk", lambda step: efficient_ntk.run(output, settings, step), output, json)


@papers.command()
def surrogate(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/surrogate"),
    width: Annotated[int | None, typer.Option(min=1, help="Units of the table over points (512, or 128).")] = None,
    seed: Seed = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Networks with fixed activation patterns: steps, drift, conversion to ReLU networks (arXiv 2101.04243)."""
    from widenet.experiments import surrogate

    settings = _settings(surrogate.Settings, quick, {"width": width, "seed": seed})
    _carry_out("surrogate", lambda step: surrogate.run(output, settings, step), output, json)


@papers.command(name="finite-vs-infinite")
def finite_vs_infinite(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/finite-vs-infinite"),
    data: Annotated[Path | None, typer.Option(help="Folder of images in IDX files; digits if left out.")] = None,
    flips: Annotated[bool, typer.Option("--flips", help="Augment by mirror images too; not for digits.")] = False,
    seed: Seed = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Finite networks beside their kernels, one intervention at a time, on small images (arXiv 2007.15801)."""
    from widenet.experiments import finite_vs_infinite

    settings = _settings(finite_vs_infinite.Settings, quick, {"flips": flips, "seed": seed})
    _carry_out("finite-vs-infinite", lambda step: finite_vs_infinite.run(output, data, settings, step), output, json)


@papers.command()
def sketching(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/sketching"),
    data: Annotated[
        Path | None, typer.Option(help="Folder of NAME.npz files or IDX images; digits if left out.")
    ] = None,
    rows: Annotated[int | None, typer.Option(min=20, help="Points of each set whose Gram matrix is exact.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds of each map at each size.")] = None,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Explicit features of tangent kernels: error, accuracy and time against size (arXiv 2106.07880, 2209.04121)."""
    from widenet.experiments import sketching

    settings = _settings(sketching.Settings, quick, {"rows": rows, "seeds": seeds})
    _carry_out("sketching", lambda step: sketching.run(output, data, settings, step), output, json)


def _settings(kind: Any, quick: bool, given: dict[str, Any]) -> Any:
    """The settings of an experiment, or its quick ones, with what was given in place of their own values."""
    make = kind.quick if quick else kind
    return make(**{name: value for name, value in given.items() if value is not None})


def _carry_out(paper: str, work: "Callable[[Progress], Outcome]", output: Path, json: bool) -> None:
    """Run an experiment under a progress bar, and say what came of it."""
    from widenet.cli.console import note, print_json, progress_bar

    with progress_bar(paper) as step:
        outcome = work(step)
    if json:
        print_json({"paper": paper, "files": [str(file) for file in outcome.files], "message": outcome.message})
        return
    for table in outcome.tables:
        typer.echo(table.markdown())
        typer.echo()
    typer.echo(outcome.message)
    note(f"{len(outcome.files)} files in {output}")
