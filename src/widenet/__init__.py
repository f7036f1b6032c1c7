"""Infinitely wide networks as kernels, and wide networks made cheap. For PyTorch and scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from widenet.architectures import (
        GELU,
        RBF,
        Abs,
        AbsLinear,
        AvgPool,
        Concat,
        Conv,
        Cosine,
        Dense,
        Elementwise,
        Erf,
        FactorizedDense,
        Flatten,
        GaussianBump,
        GlobalAveragePool,
        GlobalSumPool,
        Identity,
        LastStep,
        Layer,
        LayerNorm,
        LeakyReLU,
        Polynomial,
        Recurrent,
        ReLU,
        Sine,
        StepwiseAverage,
        SumPool,
        ThresholdReLU,
        convolutional,
        delta_orthogonal,
        densenet,
        densenet_convolutional,
        freeze,
        fully_connected,
        myrtle,
        recurrent,
        residual,
        residual_convolutional,
        sigmoid_like,
        sparse_network,
    )
    from widenet.errors import (
        FingerprintMismatch,
        InvalidArchitecture,
        InvalidFile,
        InvalidInput,
        MemoryLimitExceeded,
        NotPositiveDefinite,
        WidenetError,
    )
    from widenet.estimators.augmentation import AugmentedClassifier, AugmentedRegressor, RandomCrop, RandomFlip
    from widenet.estimators.classifier import KernelClassifier
    from widenet.estimators.distributed import Distributed, gram_product, kernel_gram, landmark_path
    from widenet.estimators.feature_classifier import FeatureClassifier
    from widenet.estimators.feature_regressor import FeatureRegressor
    from widenet.estimators.features import NTKFeatures
    from widenet.estimators.gaussian_process import GaussianProcess
    from widenet.estimators.gp_kernel import as_gp_kernel
    from widenet.estimators.persistence import load
    from widenet.estimators.plan import Machine, Plan, calibrate, plan
    from widenet.estimators.recurrent_grid import RecurrentGrid
    from widenet.estimators.regressor import KernelRegressor
    from widenet.estimators.row_sources import ArrayRows, IterableRows
    from widenet.estimators.support_vectors import SupportVectorMachine
    from widenet.estimators.table_encoder import TableEncoder
    from widenet.estimators.table_sources import open_rows
    from widenet.estimators.time_series import RecurrentKernelClassifier, RecurrentKernelRegressor
    from widenet.estimators.zca import ZCA
    from widenet.experiments.kernel_gap import AdamTraining, kernel_gap_report
    from widenet.features.architecture import ArchitectureFeatures
    from widenet.features.cntk_sketch import CNTKSketch
    from widenet.features.count_sketch import OSNAP, CountSketch
    from widenet.features.fourier import FourierFeatures
    from widenet.features.ntk_sketch import NTKSketch
    from widenet.features.nystrom import Nystroem
    from widenet.features.poly_sketch import PolySketch
    from widenet.features.principal import PrincipalFeatures
    from widenet.features.random_features import NTKRandomFeatures
    from widenet.features.sketch import Sketch
    from widenet.features.subsampled_transforms import SRHT, ComplexSRHT
    from widenet.features.tensor_sketch import ProductSketch, TensorSketch
    from widenet.features.zonal_features import ZonalRandomFeatures
    from widenet.kernels.base import Kernel
    from widenet.kernels.bidirectional import Bidirectional
    from widenet.kernels.deficit import tangent_deficit
    from widenet.kernels.dot_product import ArcCosine, Linear, Zonal
    from widenet.kernels.neural import NNGP, NTK
    from widenet.kernels.progress import progress
    from widenet.kernels.sequences import Sequences
    from widenet.kernels.stationary import GammaExponential, Gaussian, Laplace, Matern
    from widenet.kernels.truncated import TruncatedDual
    from widenet.kernels.wrappers import Homogeneous, Normalized
    from widenet.linalg.kernel_matrix import KernelMatrix
    from widenet.networks.checkpoints import Checkpoint
    from widenet.networks.convergence import kernel_convergence
    from widenet.networks.descent import GradientDescent
    from widenet.networks.drift import KernelDrift
    from widenet.networks.empirical import EmpiricalNTK
    from widenet.networks.ensembles import Centred, Ensemble
    from widenet.networks.factorize import factorize
    from widenet.networks.factorized import FactorizedLinear
    from widenet.networks.factorized_costs import cost_report
    from widenet.networks.factorized_kernels import factorized_ntk, rank_for
    from widenet.networks.factorized_training import compare_training
    from widenet.networks.finite_network import network
    from widenet.networks.linear_descent import predicted_steps
    from widenet.networks.linearized import LinearizedNetwork, linearize
    from widenet.networks.monte_carlo import monte_carlo_ntk
    from widenet.networks.parameterization import (
        layerwise_weight_decay,
        to_ntk_parameterization,
        to_standard_parameterization,
    )
    from widenet.networks.relu_stack import relu_stack
    from widenet.networks.sparse_training import SparseReLUNetwork, SparseTraining
    from widenet.networks.surrogate import SurrogateNetwork
    from widenet.networks.surrogate_theory import suggest_width, surrogate_kernel
    from widenet.networks.surrogate_training import SurrogateTraining
    from widenet.networks.tangent_certificate import tangent_certificate
    from widenet.networks.training import Recorder, train
    from widenet.networks.twin import Twin
    from widenet.solvers.auto import Auto
    from widenet.solvers.base import Solution, Solver
    from widenet.solvers.cholesky import Cholesky
    from widenet.solvers.iterative import ConjugateGradient
    from widenet.solvers.landmarks import Landmarks
    from widenet.solvers.spectral import Spectral
    from widenet.solvers.streaming import NormalEquations
    from widenet.theory.dynamics import GradientFlow
    from widenet.theory.finite_width import fluctuations
    from widenet.theory.layer_shares import layer_shares, standard_kernel
    from widenet.theory.matching import match_laplace
    from widenet.theory.precision import precision_report
    from widenet.theory.relu_fluctuations import kernel_regime
    from widenet.theory.sparsity import choose_threshold, eigen_report, expected_active_fraction, sparse_cost
    from widenet.theory.spectrum import zonal_spectrum

__version__ = "0.1.0"

# Each public name and the module that holds it. A name is imported when it is first asked for (PEP 562): torch, SciPy
# and Numba take seconds to load, and `import widenet`, `widenet --help` and a reader of one error need none of them.
_HOMES = {
    "widenet.architectures": (
        "GELU RBF Abs AbsLinear AvgPool Concat Conv Cosine Dense Elementwise Erf FactorizedDense Flatten GaussianBump "
        "GlobalAveragePool GlobalSumPool Identity LastStep Layer LayerNorm LeakyReLU Polynomial ReLU "
        "Recurrent Sine StepwiseAverage SumPool ThresholdReLU convolutional delta_orthogonal densenet "
        "densenet_convolutional freeze fully_connected myrtle recurrent residual "
        "residual_convolutional sigmoid_like sparse_network "
    ),
    "widenet.errors": (
        "FingerprintMismatch InvalidArchitecture InvalidFile InvalidInput MemoryLimitExceeded "
        "NotPositiveDefinite WidenetError "
    ),
    "widenet.estimators.augmentation": "AugmentedClassifier AugmentedRegressor RandomCrop RandomFlip",
    "widenet.estimators.classifier": "KernelClassifier",
    "widenet.estimators.feature_classifier": "FeatureClassifier",
    "widenet.estimators.feature_regressor": "FeatureRegressor",
    "widenet.estimators.features": "NTKFeatures",
    "widenet.estimators.distributed": "Distributed gram_product kernel_gram landmark_path",
    "widenet.estimators.gaussian_process": "GaussianProcess",
    "widenet.estimators.gp_kernel": "as_gp_kernel",
    "widenet.estimators.persistence": "load",
    "widenet.estimators.plan": "Machine Plan calibrate plan",
    "widenet.estimators.recurrent_grid": "RecurrentGrid",
    "widenet.estimators.regressor": "KernelRegressor",
    "widenet.estimators.row_sources": "ArrayRows IterableRows",
    "widenet.estimators.support_vectors": "SupportVectorMachine",
    "widenet.estimators.table_encoder": "TableEncoder",
    "widenet.estimators.table_sources": "open_rows",
    "widenet.estimators.time_series": "RecurrentKernelClassifier RecurrentKernelRegressor",
    "widenet.estimators.zca": "ZCA",
    "widenet.experiments.kernel_gap": "AdamTraining kernel_gap_report",
    "widenet.features": (
        "ArchitectureFeatures CNTKSketch ComplexSRHT CountSketch FourierFeatures NTKRandomFeatures "
        "NTKSketch Nystroem OSNAP PolySketch PrincipalFeatures ProductSketch SRHT Sketch TensorSketch "
        "ZonalRandomFeatures "
    ),
    "widenet.kernels.base": "Kernel",
    "widenet.kernels.bidirectional": "Bidirectional",
    "widenet.kernels.deficit": "tangent_deficit",
    "widenet.kernels.dot_product": "ArcCosine Linear Zonal",
    "widenet.kernels.neural": "NNGP NTK",
    "widenet.kernels.progress": "progress",
    "widenet.kernels.sequences": "Sequences",
    "widenet.kernels.stationary": "GammaExponential Gaussian Laplace Matern",
    "widenet.kernels.truncated": "TruncatedDual",
    "widenet.kernels.wrappers": "Homogeneous Normalized",
    "widenet.linalg.kernel_matrix": "KernelMatrix",
    "widenet.networks": (
        "Centred Checkpoint compare_training cost_report EmpiricalNTK Ensemble factorize factorized_ntk "
        "FactorizedLinear GradientDescent kernel_convergence KernelDrift layerwise_weight_decay "
        "linearize LinearizedNetwork monte_carlo_ntk network predicted_steps rank_for Recorder "
        "relu_stack SparseReLUNetwork SparseTraining suggest_width surrogate_kernel SurrogateNetwork "
        "SurrogateTraining tangent_certificate to_ntk_parameterization to_standard_parameterization "
        "train Twin "
    ),
    "widenet.solvers.auto": "Auto",
    "widenet.solvers.base": "Solution Solver",
    "widenet.solvers.cholesky": "Cholesky",
    "widenet.solvers.iterative": "ConjugateGradient",
    "widenet.solvers.landmarks": "Landmarks",
    "widenet.solvers.spectral": "Spectral",
    "widenet.solvers.streaming": "NormalEquations",
    "widenet.theory": (
        "choose_threshold eigen_report expected_active_fraction fluctuations GradientFlow kernel_regime "
        "layer_shares match_laplace precision_report sparse_cost standard_kernel zonal_spectrum "
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "GELU",
    "NNGP",
    "NTK",
    "OSNAP",
    "RBF",
    "SRHT",
    "ZCA",
    "Abs",
    "AbsLinear",
    "AdamTraining",
    "ArcCosine",
    "ArchitectureFeatures",
    "ArrayRows",
    "AugmentedClassifier",
    "AugmentedRegressor",
    "Auto",
    "AvgPool",
    "Bidirectional",
    "CNTKSketch",
    "Centred",
    "Checkpoint",
    "Cholesky",
    "ComplexSRHT",
    "Concat",
    "ConjugateGradient",
    "Conv",
    "Cosine",
    "CountSketch",
    "Dense",
    "Distributed",
    "Elementwise",
    "EmpiricalNTK",
    "Ensemble",
    "Erf",
    "FactorizedDense",
    "FactorizedLinear",
    "FeatureClassifier",
    "FeatureRegressor",
    "FingerprintMismatch",
    "Flatten",
    "FourierFeatures",
    "GammaExponential",
    "Gaussian",
    "GaussianBump",
    "GaussianProcess",
    "GlobalAveragePool",
    "GlobalSumPool",
    "GradientDescent",
    "GradientFlow",
    "Homogeneous",
    "Identity",
    "InvalidArchitecture",
    "InvalidFile",
    "InvalidInput",
    "IterableRows",
    "Kernel",
    "KernelClassifier",
    "KernelDrift",
    "KernelMatrix",
    "KernelRegressor",
    "Landmarks",
    "Laplace",
    "LastStep",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LinearizedNetwork",
    "Machine",
    "Matern",
    "MemoryLimitExceeded",
    "NTKFeatures",
    "NTKRandomFeatures",
    "NTKSketch",
    "NormalEquations",
    "Normalized",
    "NotPositiveDefinite",
    "Nystroem",
    "Plan",
    "PolySketch",
    "Polynomial",
    "PrincipalFeatures",
    "ProductSketch",
    "RandomCrop",
    "RandomFlip",
    "ReLU",
    "Recorder",
    "Recurrent",
    "RecurrentGrid",
    "RecurrentKernelClassifier",
    "RecurrentKernelRegressor",
    "Sequences",
    "Sine",
    "Sketch",
    "Solution",
    "Solver",
    "SparseReLUNetwork",
    "SparseTraining",
    "Spectral",
    "StepwiseAverage",
    "SumPool",
    "SupportVectorMachine",
    "SurrogateNetwork",
    "SurrogateTraining",
    "TableEncoder",
    "TensorSketch",
    "ThresholdReLU",
    "TruncatedDual",
    "Twin",
    "WidenetError",
    "Zonal",
    "ZonalRandomFeatures",
    "__version__",
    "as_gp_kernel",
    "calibrate",
    "choose_threshold",
    "compare_training",
    "convolutional",
    "cost_report",
    "delta_orthogonal",
    "densenet",
    "densenet_convolutional",
    "eigen_report",
    "expected_active_fraction",
    "factorize",
    "factorized_ntk",
    "fluctuations",
    "freeze",
    "fully_connected",
    "gram_product",
    "kernel_convergence",
    "kernel_gap_report",
    "kernel_gram",
    "kernel_regime",
    "landmark_path",
    "layer_shares",
    "layerwise_weight_decay",
    "linearize",
    "load",
    "match_laplace",
    "monte_carlo_ntk",
    "myrtle",
    "network",
    "open_rows",
    "plan",
    "precision_report",
    "predicted_steps",
    "progress",
    "rank_for",
    "recurrent",
    "relu_stack",
    "residual",
    "residual_convolutional",
    "sigmoid_like",
    "sparse_cost",
    "sparse_network",
    "standard_kernel",
    "suggest_width",
    "surrogate_kernel",
    "tangent_certificate",
    "tangent_deficit",
    "to_ntk_parameterization",
    "to_standard_parameterization",
    "train",
    "zonal_spectrum",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'widenet' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
