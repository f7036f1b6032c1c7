"""Kernels: NTK and NNGP of architectures, classical kernels, and their algebra."""

from widenet.kernels.base import Kernel, Product, Scaled, Sum
from widenet.kernels.bidirectional import Bidirectional
from widenet.kernels.deficit import tangent_deficit
from widenet.kernels.dot_product import ArcCosine, Linear, Zonal, ZonalAngle
from widenet.kernels.neural import NNGP, NTK
from widenet.kernels.sequences import Sequences
from widenet.kernels.stationary import GammaExponential, Gaussian, Laplace, Matern
from widenet.kernels.threshold import orthant_probability, rectified_product
from widenet.kernels.truncated import TruncatedDual
from widenet.kernels.wrappers import Homogeneous, Normalized

__all__ = [
    "NNGP",
    "NTK",
    "ArcCosine",
    "Bidirectional",
    "GammaExponential",
    "Gaussian",
    "Homogeneous",
    "Kernel",
    "Laplace",
    "Linear",
    "Matern",
    "Normalized",
    "Product",
    "Scaled",
    "Sequences",
    "Sum",
    "TruncatedDual",
    "Zonal",
    "ZonalAngle",
    "orthant_probability",
    "rectified_product",
    "tangent_deficit",
]
