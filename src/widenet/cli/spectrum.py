"""`widenet spectrum`: eigenvalues of a kernel on the sphere."""

import math
from typing import Annotated

import typer

EXAMPLES = """Examples:

  widenet spectrum "NTK(depth=3)" --dimension 3

  widenet spectrum laplace --dimension 10 --degrees 40 --json
"""


def command(
    kernel: Annotated[str, typer.Argument(help="Kernel, such as 'NTK(depth=3)' or laplace.", show_default=False)],
    dimension: Annotated[int, typer.Option("--dimension", "-d", min=2, help="Of the space around the sphere.")] = 3,
    degrees: Annotated[int, typer.Option(min=0, max=2000, help="Largest degree of the spherical harmonics.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Eigenvalues of a kernel on the unit sphere by degree, with multiplicities and the slope of their decay."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from widenet.cli.console import print_json
    from widenet.errors import InvalidInput
    from widenet.experiments.kernel_text import read_kernel
    from widenet.theory import decay_slope, zonal_spectrum

    chosen = read_kernel(kernel)
    spectrum = zonal_spectrum(chosen, dimension, degrees)
    try:
        slope = decay_slope(spectrum, max(degrees // 2, 1), degrees)
    except InvalidInput:  # too few degrees, or eigenvalues that are zero
        slope = float("nan")
    if json:
        rows = zip(spectrum.eigenvalues, spectrum.multiplicities, spectrum.errors, strict=True)
        print_json(
            {
                "kernel": repr(chosen),
                "dimension": dimension,
                "slope": float(slope),
                "trace_share": spectrum.trace_share,
                "degrees": [
                    {"degree": k, "eigenvalue": float(value), "multiplicity": str(count), "error": float(error)}
                    for k, (value, count, error) in enumerate(rows)
                ],
            }
        )
        return
    table = Table(title=Text(f"{chosen!r} on the sphere in {dimension} dimensions"))
    for name in ("degree", "eigenvalue", "multiplicity", "error", "route"):
        table.add_column(name, justify="left" if name == "route" else "right", no_wrap=True)
    for k, value in enumerate(spectrum.eigenvalues):
        exact = spectrum.multiplicities[k]
        count = f"{exact:.6g}" if exact > 10**9 else str(exact)
        table.add_row(str(k), f"{value:.12g}", count, f"{spectrum.errors[k]:.1e}", spectrum.routes[k])
    console = Console()
    console.print(table)
    console.print(f"trace held by these degrees: {100 * spectrum.trace_share:.4g} %", highlight=False)
    if not math.isnan(slope):
        console.print(f"decay from degree {max(degrees // 2, 1)} on: k^{slope:.3f}", highlight=False)
