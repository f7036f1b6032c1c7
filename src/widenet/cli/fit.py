"""`widenet fit`: a model from a table."""

from pathlib import Path
from typing import Annotated, Literal

import typer

EXAMPLES = """Examples:

  widenet fit houses.csv --target price --model houses.widenet

  widenet fit flowers.parquet --target species --model flowers.widenet --kernel "NTK(depth=3)"
"""


def command(  # noqa: PLR0917
    data: Annotated[Path, typer.Argument(help="Table: CSV, TSV or Parquet.", show_default=False)],
    target: Annotated[str, typer.Option("--target", "-t", help="Column to predict.", show_default=False)],
    model: Annotated[Path, typer.Option("--model", "-m", help="Where the model goes.", show_default=False)],
    kernel: Annotated[str, typer.Option(help="auto, or a kernel such as 'NTK(depth=3)' or laplace.")] = "auto",
    ridge: Annotated[float | None, typer.Option(help="Ridge over the kernel's mean diagonal.")] = None,
    task: Annotated[
        Literal["auto", "regression", "classification"], typer.Option(help="What to learn; auto looks at the target.")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Fit a kernel model to a table and save it with the table's encoding; the file holds no code."""
    from widenet.cli.console import note, note_columns, print_json
    from widenet.experiments.kernel_text import read_kernel
    from widenet.experiments.predictor import Predictor
    from widenet.experiments.tables import read_frame, split_target
    from widenet.experiments.written import check_writable

    check_writable(model)
    chosen = "auto" if kernel.strip().lower() == "auto" else read_kernel(kernel)
    table = split_target(read_frame(data), target, None if task == "auto" else task, name=data.name)
    predictor = Predictor.fit(table, chosen, "auto" if ridge is None else ridge)
    predictor.save(model)
    note_columns(predictor.encoder.columns_)
    fitted = predictor.model
    if json:
        print_json(
            {
                "model": str(model),
                "task": table.task,
                "task_reason": table.reason,
                "rows": len(table.target),
                "columns": [{"name": c.name, "kind": c.kind, "missing": c.missing} for c in predictor.encoder.columns_],
                "kernel": repr(fitted.kernel_),
                "ridge": float(fitted.ridge_),
            }
        )
    else:
        typer.echo(f"{table.task} of {target} ({table.reason}) on {len(table.target)} rows")
        typer.echo(f"kernel {fitted.kernel_!r}, ridge {float(fitted.ridge_):.3g}")
        note(f"model: {model}")
