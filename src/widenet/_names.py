"""Each public name of the package and the module that holds it.

A name is imported when it is first asked for (PEP 562): torch, SciPy and Numba take seconds to load, and
`import widenet`, `widenet --help` and a reader of one error need none of them.
"""

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
        "MissingPackage NotPositiveDefinite WidenetError "
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

HOME = {name: module for module, names in _HOMES.items() for name in names.split()}
"""The module of every public name."""
