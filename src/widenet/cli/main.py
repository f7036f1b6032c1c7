"""The program `widenet`: its commands, its exit codes, and how failures read."""

import os
import signal
import sys
from typing import Annotated, NoReturn

import typer

from widenet import __version__
from widenet.cli import compare, demo, fit, predict, reproduce, spectrum

SUCCESS, FAILURE, BAD_INPUT, INTERRUPTED = 0, 1, 2, 128 + int(signal.SIGINT)
_TORCH_OUT_OF_MEMORY = ("can't allocate memory", "out of memory")  # torch raises RuntimeError for both
STOPPED = "interrupted; nothing was left half-written"

HELP = """Infinitely wide networks as kernels, on your tables.

Examples:

  widenet compare houses.csv --target price

  widenet fit houses.csv --target price --model houses.widenet

  widenet predict houses.widenet new.csv --output prices.csv

  widenet spectrum "NTK(depth=3)" --dimension 10

Exit codes: 0 done, 1 failure, 2 bad input or usage, 130 interrupted.
"""

commands = typer.Typer(
    help=HELP, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False
)
commands.command(name="compare", epilog=compare.EXAMPLES)(compare.command)
commands.command(name="fit", epilog=fit.EXAMPLES)(fit.command)
commands.command(name="predict", epilog=predict.EXAMPLES)(predict.command)
commands.command(name="spectrum", epilog=spectrum.EXAMPLES)(spectrum.command)
commands.add_typer(reproduce.papers, name="reproduce")
commands.command(name="demo")(demo.command)


def _print_version(asked: bool | None) -> None:
    if asked:
        typer.echo(f"widenet {__version__}")
        raise typer.Exit


@commands.callback()
def options(
    version: Annotated[
        bool | None, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = None,
) -> None:
    """Options that come before the command."""


def app(arguments: list[str] | None = None) -> NoReturn:
    """Run the program on these arguments (of the process, if None) and leave with its exit code."""
    code = run(arguments)
    sys.stdout.flush()
    sys.exit(code)


def run(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code; failures become one line on standard error."""
    from widenet.errors import WidenetError

    try:
        outcome = typer.main.get_command(commands).main(arguments, prog_name="widenet", standalone_mode=False)
    except WidenetError as error:
        return _complain(error, FAILURE if isinstance(error, MemoryError) else BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return _complain(STOPPED, INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output is gone; the interpreter's own flush at exit must not fail on it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except typer.Exit as error:
        return error.exit_code
    except typer.BadParameter as error:
        return _complain(error.format_message(), BAD_INPUT)
    except (MemoryError, OSError) as error:
        return _complain(str(error) or type(error).__name__, FAILURE)
    except Exception as error:
        message = getattr(error, "format_message", None)  # errors of usage, which typer keeps in a private module
        if message is not None:
            # No message: the help was printed, because a command was missing.
            return _complain(message(), BAD_INPUT) if message() else BAD_INPUT
        if isinstance(error, RuntimeError) and any(words in str(error) for words in _TORCH_OUT_OF_MEMORY):
            return _complain(f"not enough memory: {str(error).splitlines()[0][:200]}", FAILURE)
        raise
    if outcome == INTERRUPTED:  # typer turns an interrupt into this outcome
        return _complain(STOPPED, INTERRUPTED)
    return outcome if isinstance(outcome, int) else SUCCESS


def _complain(error: object, code: int) -> int:
    line = " ".join(str(error).split())
    sys.stderr.write(f"widenet: {line}\n")
    return code
