"""Theory of wide networks as kernels."""

from widenet.theory.dynamics import GradientFlow, NetworkStart, TrainedNetworks
from widenet.theory.finite_width import Fluctuations, LayerTensors, fluctuations
from widenet.theory.layer_shares import LayerShare, layer_shares, standard_kernel, weighted_kernel
from widenet.theory.matching import LaplaceMatch, match_laplace
from widenet.theory.parity import BiasedParity, LeakyParity, recover_support
from widenet.theory.parity_bounds import (
    dimension_bound,
    embedding_norms,
    norm_bound,
    parities,
    parity_edges,
    rkhs_norms,
)
from widenet.theory.parity_problem import Enumeration, ParityProblem, cube
from widenet.theory.precision import PrecisionReport, critical_size, precision_report
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
from widenet.theory.sparsity import (
    EigenReport,
    SparseCost,
    choose_threshold,
    eigen_report,
    expected_active_fraction,
    sparse_cost,
)
from widenet.theory.spectrum import ZonalSpectrum, decay_slope, multiplicity, zonal_spectrum

__all__ = [
    "BiasedParity",
    "EigenReport",
    "Enumeration",
    "Fluctuations",
    "GradientFlow",
    "KernelRegime",
    "LaplaceMatch",
    "LayerShare",
    "LayerTensors",
    "LeakyParity",
    "NetworkStart",
    "ParityProblem",
    "PrecisionReport",
    "SparseCost",
    "TrainedNetworks",
    "ZonalSpectrum",
    "choose_threshold",
    "critical_size",
    "cube",
    "decay_slope",
    "dense_ntk_variance",
    "dense_second_moment",
    "densenet_ntk_variance",
    "densenet_second_moment",
    "dimension_bound",
    "eigen_report",
    "embedding_norms",
    "expected_active_fraction",
    "fluctuations",
    "kernel_regime",
    "layer_shares",
    "match_laplace",
    "multiplicity",
    "norm_bound",
    "parities",
    "parity_edges",
    "precision_report",
    "recover_support",
    "residual_ntk_variance",
    "residual_ntk_variance_limit",
    "residual_second_moment",
    "rkhs_norms",
    "sparse_cost",
    "standard_kernel",
    "weighted_kernel",
    "zonal_spectrum",
]
