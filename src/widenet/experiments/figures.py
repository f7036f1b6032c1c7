"""The look of every figure of the experiments, and saving as PNG and SVG."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from widenet.experiments.written import written_aside

# Okabe and Ito's colours: told apart under every common colour blindness, and in print.
COLOURS = {
    "blue": "#0072B2",
    "vermilion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "black": "#222222",
    "grey": "#6E6E6E",
}
_INK, _FAINT = "#222222", "#E4E4E4"
_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "mathtext.fontset": "dejavusans",
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.linewidth": 0.7,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 7.0,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "lines.linewidth": 1.7,
    "lines.markersize": 5.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "legend.handlelength": 2.2,
    "figure.dpi": 100.0,
    "savefig.dpi": 200.0,
    "svg.fonttype": "path",  # the same look where DejaVu Sans is not installed
    "svg.hashsalt": "widenet",  # the same bytes from the same data
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in the house style inside this block, and leave the reader's own settings as they were."""
    with mpl.rc_context(_STYLE):  # pyright: ignore[reportArgumentType]
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of this size in inches; no window, no global state."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def label_line(axes: Axes, place: tuple[float, float], text: str, colour: str) -> None:
    """Write beside a curve what it is, in its colour, 4 points to the right of a place in data units."""
    axes.annotate(
        text,
        place,
        xytext=(4, 0),
        textcoords="offset points",
        color=colour,
        fontsize=8,
        va="center",
        annotation_clip=False,
    )


def save_figure(figure: Figure, folder: Path, stem: str) -> tuple[Path, Path]:
    """Write `stem`.png (200 dots an inch) and `stem`.svg; each appears whole or not at all.

    The same figure gives the same bytes: no date is written into the files.

    Raises:
        InvalidFile: If the folder cannot be written to.
    """
    paths = folder / f"{stem}.png", folder / f"{stem}.svg"
    with figure_style():
        for path, metadata in zip(paths, ({"Software": None}, {"Date": None}), strict=True):
            with written_aside(path) as aside:
                figure.savefig(aside, format=path.suffix[1:], metadata=metadata)
    return paths


def as_svg(figure: Figure) -> str:
    """The figure as an `<svg>` element for a page, without XML declaration and document type."""
    text = io.StringIO()
    with figure_style():
        figure.savefig(text, format="svg", metadata={"Date": None})
    whole = text.getvalue()
    return whole[whole.index("<svg") :]
