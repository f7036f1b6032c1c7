"""scikit-learn estimators on kernels of wide networks."""

from widenet.estimators.classifier import KernelClassifier
from widenet.estimators.gaussian_process import GaussianProcess
from widenet.estimators.persistence import load
from widenet.estimators.recurrent_grid import RecurrentGrid
from widenet.estimators.regressor import KernelRegressor
from widenet.estimators.support_vectors import SupportVectorMachine
from widenet.estimators.time_series import RecurrentKernelClassifier, RecurrentKernelRegressor

__all__ = [
    "GaussianProcess",
    "KernelClassifier",
    "KernelRegressor",
    "RecurrentGrid",
    "RecurrentKernelClassifier",
    "RecurrentKernelRegressor",
    "SupportVectorMachine",
    "load",
]
