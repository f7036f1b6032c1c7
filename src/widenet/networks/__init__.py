"""Networks of finite width as torch modules."""

from widenet.networks.approximate_descent import ApproximateDescent, ApproximateRun
from widenet.networks.build import Plan, Shape, build, sets_outputs
from widenet.networks.checkpoints import Checkpoint
from widenet.networks.convergence import Convergence, kernel_convergence
from widenet.networks.descent import GradientDescent, group_numbers
from widenet.networks.drift import KernelDrift
from widenet.networks.empirical import EmpiricalNTK
from widenet.networks.ensembles import Centred, Ensemble
from widenet.networks.factorize import Factorization, ReplacedLayer, WideReadout, factorize
from widenet.networks.factorized import FactorizedLinear
from widenet.networks.factorized_costs import CostReport, Energy, LayerCost, cost_report, layer_cost
from widenet.networks.factorized_kernels import RankReport, factorized_ntk, inner_deviation, rank_for
from widenet.networks.factorized_training import TrainingCost, TrainingPlan, compare_training
from widenet.networks.finite_network import Network, network
from widenet.networks.hadamard import HadamardFactor
from widenet.networks.kernel_plan import TangentKernelPlan
from widenet.networks.linear_descent import descent_change, predicted_steps
from widenet.networks.linearized import LinearizedNetwork, linearize
from widenet.networks.modules import ConvModule, DenseModule, ScaledModule
from widenet.networks.monte_carlo import NTKEstimate, monte_carlo_ntk
from widenet.networks.orthogonal import delta_orthogonal_weights, haar_orthogonal, orthogonal_weights
from widenet.networks.parameterization import (
    layerwise_weight_decay,
    to_ntk_parameterization,
    to_standard_parameterization,
)
from widenet.networks.recurrent import RecurrentModule
from widenet.networks.relu_stack import relu_stack
from widenet.networks.select_parity import SelectThenParity
from widenet.networks.shallow import ShallowNetwork
from widenet.networks.sparse_training import SparseReLUNetwork, SparseRun, SparseTraining
from widenet.networks.surrogate import SurrogateNetwork
from widenet.networks.surrogate_conversion import Certificate, Conversion
from widenet.networks.surrogate_theory import WidthBounds, suggest_width, surrogate_kernel
from widenet.networks.surrogate_training import ConvergenceRecord, SurrogateRun, SurrogateTraining
from widenet.networks.tangent_certificate import TangentCertificate, TangentFunction, tangent_certificate
from widenet.networks.training import History, Recorder, predict, train
from widenet.networks.twin import Twin
from widenet.networks.two_layer import TwoLayerReLU

__all__ = [
    "ApproximateDescent",
    "ApproximateRun",
    "Centred",
    "Certificate",
    "Checkpoint",
    "ConvModule",
    "Convergence",
    "ConvergenceRecord",
    "Conversion",
    "CostReport",
    "DenseModule",
    "EmpiricalNTK",
    "Energy",
    "Ensemble",
    "Factorization",
    "FactorizedLinear",
    "GradientDescent",
    "HadamardFactor",
    "History",
    "KernelDrift",
    "LayerCost",
    "LinearizedNetwork",
    "NTKEstimate",
    "Network",
    "Plan",
    "RankReport",
    "Recorder",
    "RecurrentModule",
    "ReplacedLayer",
    "ScaledModule",
    "SelectThenParity",
    "ShallowNetwork",
    "Shape",
    "SparseReLUNetwork",
    "SparseRun",
    "SparseTraining",
    "SurrogateNetwork",
    "SurrogateRun",
    "SurrogateTraining",
    "TangentCertificate",
    "TangentFunction",
    "TangentKernelPlan",
    "TrainingCost",
    "TrainingPlan",
    "Twin",
    "TwoLayerReLU",
    "WideReadout",
    "WidthBounds",
    "build",
    "compare_training",
    "cost_report",
    "delta_orthogonal_weights",
    "descent_change",
    "factorize",
    "factorized_ntk",
    "group_numbers",
    "haar_orthogonal",
    "inner_deviation",
    "kernel_convergence",
    "layer_cost",
    "layerwise_weight_decay",
    "linearize",
    "monte_carlo_ntk",
    "network",
    "orthogonal_weights",
    "predict",
    "predicted_steps",
    "rank_for",
    "relu_stack",
    "sets_outputs",
    "suggest_width",
    "surrogate_kernel",
    "tangent_certificate",
    "to_ntk_parameterization",
    "to_standard_parameterization",
    "train",
]
