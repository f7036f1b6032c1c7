"""Infinitely wide networks as kernels, and wide networks made cheap. For PyTorch and scikit-learn."""

from importlib import import_module
from typing import TYPE_CHECKING

from widenet._names import HOME

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
        MissingPackage,
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
    from widenet.features import (
        OSNAP,
        SRHT,
        ArchitectureFeatures,
        CNTKSketch,
        ComplexSRHT,
        CountSketch,
        FourierFeatures,
        NTKRandomFeatures,
        NTKSketch,
        Nystroem,
        PolySketch,
        PrincipalFeatures,
        ProductSketch,
        Sketch,
        TensorSketch,
        ZonalRandomFeatures,
    )
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
    from widenet.networks import (
        Centred,
        Checkpoint,
        EmpiricalNTK,
        Ensemble,
        FactorizedLinear,
        GradientDescent,
        KernelDrift,
        LinearizedNetwork,
        Recorder,
        SparseReLUNetwork,
        SparseTraining,
        SurrogateNetwork,
        SurrogateTraining,
        Twin,
        compare_training,
        cost_report,
        factorize,
        factorized_ntk,
        kernel_convergence,
        layerwise_weight_decay,
        linearize,
        monte_carlo_ntk,
        network,
        predicted_steps,
        rank_for,
        relu_stack,
        suggest_width,
        surrogate_kernel,
        tangent_certificate,
        to_ntk_parameterization,
        to_standard_parameterization,
        train,
    )
    from widenet.solvers.auto import Auto
    from widenet.solvers.base import Solution, Solver
    from widenet.solvers.cholesky import Cholesky
    from widenet.solvers.iterative import ConjugateGradient
    from widenet.solvers.landmarks import Landmarks
    from widenet.solvers.spectral import Spectral
    from widenet.solvers.streaming import NormalEquations
    from widenet.theory import (
        GradientFlow,
        choose_threshold,
        eigen_report,
        expected_active_fraction,
        fluctuations,
        kernel_regime,
        layer_shares,
        match_laplace,
        precision_report,
        sparse_cost,
        standard_kernel,
        zonal_spectrum,
    )

__version__ = "0.1.0"

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
    "MissingPackage",
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
    if name not in HOME:
        raise AttributeError(f"module 'widenet' has no attribute {name!r}")
    value = getattr(import_module(HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
