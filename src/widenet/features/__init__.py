"""Explicit features of wide-network kernels: maps z with z(x) . z(y) close to k(x, y), for linear models at scale."""

from widenet.features.architecture import ArchitectureFeatures
from widenet.features.base import FeatureMap, FittedMap
from widenet.features.cntk_sketch import CNTKSketch
from widenet.features.combined import ProductFeatures, ScaledFeatures, SumFeatures
from widenet.features.count_sketch import OSNAP, CountSketch
from widenet.features.fourier import FourierFeatures
from widenet.features.ntk_sketch import NTKSketch
from widenet.features.nystrom import Nystroem
from widenet.features.poly_sketch import PolySketch
from widenet.features.polynomial import AnglePolynomial, fit_angle, taylor
from widenet.features.principal import PrincipalFeatures
from widenet.features.random_features import NTKRandomFeatures
from widenet.features.sketch import Sketch, SketchChoice
from widenet.features.subsampled_transforms import SRHT, ComplexSRHT
from widenet.features.tensor_sketch import ProductSketch, TensorSketch
from widenet.features.zonal_features import ZonalRandomFeatures

__all__ = [
    "OSNAP",
    "SRHT",
    "AnglePolynomial",
    "ArchitectureFeatures",
    "CNTKSketch",
    "ComplexSRHT",
    "CountSketch",
    "FeatureMap",
    "FittedMap",
    "FourierFeatures",
    "NTKRandomFeatures",
    "NTKSketch",
    "Nystroem",
    "PolySketch",
    "PrincipalFeatures",
    "ProductFeatures",
    "ProductSketch",
    "ScaledFeatures",
    "Sketch",
    "SketchChoice",
    "SumFeatures",
    "TensorSketch",
    "ZonalRandomFeatures",
    "fit_angle",
    "taylor",
]
