"""Fills the place `<!-- layers -->` of a page with the table layer x reading, from the registries themselves."""

from widenet import architectures
from widenet.architectures import Activation, LastStep, Layer, Pool, Recurrent, SpatialLayer, StepwiseAverage
from widenet.features.architecture import embed
from widenet.kernels.duals import dual
from widenet.kernels.propagate import propagate
from widenet.networks import build

MARK = "<!-- layers -->"
OF_SEQUENCES = {Recurrent, LastStep, StepwiseAverage}  # read by `widenet.kernels.recurrent`, not by `propagate`
ABSTRACT = {Layer, Activation, Pool, SpatialLayer}


def _subclasses(base: type) -> list[type]:
    return [base, *(deeper for child in base.__subclasses__() for deeper in _subclasses(child))]


def table() -> str:
    """One row a public layer: its readings, and where its activation's dual comes from."""
    public = {getattr(architectures, name) for name in architectures.__all__}
    layers = [cls for cls in dict.fromkeys(_subclasses(Layer)) if cls in public - ABSTRACT]
    rows = [
        "| layer | infinite width (NTK, NNGP) | finite width (`network`) | features (`Sketch`) | dual |",
        "|---|---|---|---|---|",
    ]
    for cls in sorted(layers, key=lambda cls: (issubclass(cls, Activation), cls.__name__)):
        of_sequences = cls in OF_SEQUENCES
        reading = "yes" if of_sequences or propagate.dispatch(cls) is not propagate.dispatch(object) else "no"
        closed = dual.dispatch(cls) not in (dual.dispatch(object), dual.dispatch(Activation))
        form = ("closed form" if closed else "quadrature") if issubclass(cls, Activation) else ""
        finite = "yes" if build.dispatch(cls) is not build.dispatch(object) else "no"
        explicit = "yes" if embed.dispatch(cls) is not embed.dispatch(object) else "landmarks"
        rows.append(f"| `{cls.__name__}` | {reading} | {finite} | {explicit} | {form} |")
    return "\n".join(rows)


def on_page_markdown(markdown: str, **_: object) -> str:
    """Called by mkdocs for each page, with its text and with what else it knows."""
    return markdown.replace(MARK, table()) if MARK in markdown else markdown
