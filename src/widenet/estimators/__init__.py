"""scikit-learn estimators on kernels of wide networks."""

from widenet.estimators.augmentation import AugmentedClassifier, AugmentedRegressor, RandomCrop, RandomFlip
from widenet.estimators.classifier import KernelClassifier
from widenet.estimators.gaussian_process import GaussianProcess
from widenet.estimators.persistence import load
from widenet.estimators.recurrent_grid import RecurrentGrid
from widenet.estimators.regressor import KernelRegressor
from widenet.estimators.support_vectors import SupportVectorMachine
from widenet.estimators.time_series import RecurrentKernelClassifier, RecurrentKernelRegressor
from widenet.estimators.zca import ZCA

__all__ = [
    "ZCA",
    "AugmentedClassifier",
    "AugmentedRegressor",
    "GaussianProcess",
    "KernelClassifier",
    "KernelRegressor",
    "RandomCrop",
    "RandomFlip",
    "RecurrentGrid",
    "RecurrentKernelClassifier",
    "RecurrentKernelRegressor",
    "SupportVectorMachine",
    "load",
]
