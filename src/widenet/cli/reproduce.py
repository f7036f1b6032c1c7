"""`widenet reproduce`: papers run again."""

from pathlib import Path
from typing import Annotated, Literal

import typer

EXAMPLES = """Examples:

  widenet reproduce laplace

  widenet reproduce laplace --data uci/ --output laplace-uci
"""


def command(
    paper: Annotated[Literal["laplace"], typer.Argument(help="Which paper: laplace (arXiv 2007.01580).")],
    output: Annotated[Path, typer.Option(help="Folder of tables and figures.")] = Path("reports/laplace"),
    data: Annotated[Path | None, typer.Option(help="Folder of data sets with official splits (.npz).")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compute the tables and figures of a paper anew: Markdown, CSV, PNG and SVG."""
    from widenet.cli.console import note, print_json, progress_bar
    from widenet.experiments import laplace

    with progress_bar(paper) as step:
        outcome = laplace.run(output, data, progress=step)
    if json:
        print_json({"paper": paper, "files": [str(file) for file in outcome.files], "message": outcome.message})
        return
    for table in outcome.tables:
        typer.echo(table.markdown())
        typer.echo()
    typer.echo(outcome.message)
    note(f"{len(outcome.files)} files in {output}")
