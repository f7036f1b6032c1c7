"""`widenet reproduce`: papers run again, one command a paper."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from widenet.experiments.outcome import Outcome

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
"""

papers = typer.Typer(
    help="Compute the tables and figures of a paper anew: Markdown, CSV, PNG and SVG.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Quick = Annotated[bool, typer.Option("--quick", help="Small sizes: seconds instead of minutes.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@papers.command()
def laplace(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/laplace"),
    data: Annotated[Path | None, typer.Option(help="Folder of data sets with official splits (.npz).")] = None,
    json: AsJson = False,
) -> None:
    """Neural tangent and Laplace kernels: spectra, matched shapes, small data (arXiv 2007.01580, 1910.01663)."""
    from widenet.cli.console import progress_bar
    from widenet.experiments import laplace

    with progress_bar("laplace") as step:
        outcome = laplace.run(output, data, progress=step)
    _tell("laplace", outcome, output, json)


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
    from widenet.cli.console import progress_bar
    from widenet.experiments import rntk

    if full and quick:
        raise typer.BadParameter("--full and --quick exclude each other")
    settings = rntk.Settings.of("published" if full else "quick" if quick else "reduced", sets)
    with progress_bar("rntk") as step:
        outcome = rntk.run(data, output, settings, step)
    _tell("rntk", outcome, output, json)


@papers.command()
def residual(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/residual"),
    nets: Annotated[int | None, typer.Option(min=100, help="Networks of each ensemble (10000, or 1000).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """ResNets and DenseNets: exact kernels, how finite ones fluctuate, gradients as features (arXiv 2001.10460)."""
    from widenet.cli.console import progress_bar
    from widenet.experiments import residual

    make = residual.Settings.quick if quick else residual.Settings
    settings = make(seed=seed) if nets is None else make(nets=nets, seed=seed)
    with progress_bar("residual") as step:
        outcome = residual.run(output, settings, step)
    _tell("residual", outcome, output, json)


@papers.command(name="bias-sparsity")
def bias_sparsity(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/bias-sparsity"),
    width: Annotated[int | None, typer.Option(min=2, help="Hidden units, even (8192, or 2048).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Units below a threshold: sparse training, conditioning, spectra, accuracy (arXiv 2301.00327)."""
    from widenet.cli.console import progress_bar
    from widenet.experiments import bias_sparsity

    make = bias_sparsity.Settings.quick if quick else bias_sparsity.Settings
    settings = make(seed=seed) if width is None else make(width=width, seed=seed)
    with progress_bar("bias-sparsity") as step:
        outcome = bias_sparsity.run(output, settings, step)
    _tell("bias-sparsity", outcome, output, json)


@papers.command(name="tangent-power")
def tangent_power(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/tangent-power"),
    width: Annotated[int | None, typer.Option(min=2, help="Hidden units of the networks, even (256).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Gradient descent against tangent kernels on parities: errors, edges, bounds, recovery (arXiv 2103.01210)."""
    from widenet.cli.console import progress_bar
    from widenet.experiments import tangent_power

    make = tangent_power.Settings.quick if quick else tangent_power.Settings
    settings = make(seed=seed) if width is None else make(width=width, seed=seed)
    with progress_bar("tangent-power") as step:
        outcome = tangent_power.run(output, settings, step)
    _tell("tangent-power", outcome, output, json)


@papers.command()
def orthogonal(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/orthogonal"),
    draws: Annotated[int | None, typer.Option(min=2, help="Networks of each ensemble (4000, or 300).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="First of all seeds.")] = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Orthogonal weights: fluctuations, drift of the NTK, speed of training (arXiv 2004.05867, 2310.07765)."""
    from widenet.cli.console import progress_bar
    from widenet.experiments import orthogonal

    make = orthogonal.Settings.quick if quick else orthogonal.Settings
    settings = make(seed=seed) if draws is None else make(draws=draws, seed=seed)
    with progress_bar("orthogonal") as step:
        outcome = orthogonal.run(output, settings, step)
    _tell("orthogonal", outcome, output, json)


@papers.command(name="efficient-ntk")
def efficient_ntk(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/efficient-ntk"),
    data: Annotated[Path | None, typer.Option(help="Real set: .npz with X and y, or MNIST's files.")] = None,
    width: Annotated[int | None, typer.Option(min=64, help="Hidden units (16384, or 2048).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Wide layers as products of two: cost, training to one loss, kernels (arXiv 2210.04807)."""
    from widenet.cli.console import progress_bar
    from widenet.experiments import efficient_ntk

    make = efficient_ntk.Settings.quick if quick else efficient_ntk.Settings
    settings = make(data=data, seed=seed) if width is None else make(width=width, data=data, seed=seed)
    with progress_bar("efficient-ntk") as step:
        outcome = efficient_ntk.run(output, settings, step)
    _tell("efficient-ntk", outcome, output, json)


@papers.command()
def surrogate(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/surrogate"),
    width: Annotated[int | None, typer.Option(min=1, help="Units of the table over points (512, or 128).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Networks with fixed activation patterns: steps, drift, conversion to ReLU networks (arXiv 2101.04243)."""
    from widenet.cli.console import progress_bar
    from widenet.experiments import surrogate

    make = surrogate.Settings.quick if quick else surrogate.Settings
    settings = make(seed=seed) if width is None else make(width=width, seed=seed)
    with progress_bar("surrogate") as step:
        outcome = surrogate.run(output, settings, step)
    _tell("surrogate", outcome, output, json)


@papers.command(name="finite-vs-infinite")
def finite_vs_infinite(
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/finite-vs-infinite"),
    data: Annotated[Path | None, typer.Option(help="Folder of images in IDX files; digits if left out.")] = None,
    flips: Annotated[bool, typer.Option("--flips", help="Augment by mirror images too; not for digits.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 0,
    quick: Quick = False,
    json: AsJson = False,
) -> None:
    """Finite networks beside their kernels, one intervention at a time, on small images (arXiv 2007.15801)."""
    from widenet.cli.console import progress_bar
    from widenet.experiments import finite_vs_infinite

    make = finite_vs_infinite.Settings.quick if quick else finite_vs_infinite.Settings
    settings = make(seed=seed, flips=flips)
    with progress_bar("finite-vs-infinite") as step:
        outcome = finite_vs_infinite.run(output, data, settings, step)
    _tell("finite-vs-infinite", outcome, output, json)


def _tell(paper: str, outcome: "Outcome", output: Path, json: bool) -> None:
    from widenet.cli.console import note, print_json

    if json:
        print_json({"paper": paper, "files": [str(file) for file in outcome.files], "message": outcome.message})
        return
    for table in outcome.tables:
        typer.echo(table.markdown())
        typer.echo()
    typer.echo(outcome.message)
    note(f"{len(outcome.files)} files in {output}")
