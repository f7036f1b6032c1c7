"""Theory of wide networks as kernels."""

from widenet.theory.finite_width import Fluctuations, LayerTensors, fluctuations
from widenet.theory.matching import LaplaceMatch, match_laplace
from widenet.theory.relu_fluctuations import (
    KernelRegime,
    dense_ntk_variance,
    dense_second_moment,
    densenet_ntk_variance,
    densenet_second_moment,
    kernel_regime,
    residual_ntk_variance,
    residual_ntk_variance_limit,
    residual_second_moment,
)
from widenet.theory.sparsity import EigenReport, choose_threshold, eigen_report, expected_active_fraction
from widenet.theory.spectrum import ZonalSpectrum, decay_slope, multiplicity, zonal_spectrum

__all__ = [
    "EigenReport",
    "Fluctuations",
    "KernelRegime",
    "LaplaceMatch",
    "LayerTensors",
    "ZonalSpectrum",
    "choose_threshold",
    "decay_slope",
    "dense_ntk_variance",
    "dense_second_moment",
    "densenet_ntk_variance",
    "densenet_second_moment",
    "eigen_report",
    "expected_active_fraction",
    "fluctuations",
    "kernel_regime",
    "match_laplace",
    "multiplicity",
    "residual_ntk_variance",
    "residual_ntk_variance_limit",
    "residual_second_moment",
    "zonal_spectrum",
]
