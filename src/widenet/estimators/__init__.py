"""scikit-learn estimators on kernels of wide networks."""

from widenet.estimators.classifier import KernelClassifier
from widenet.estimators.gaussian_process import GaussianProcess
from widenet.estimators.persistence import load
from widenet.estimators.regressor import KernelRegressor

__all__ = ["GaussianProcess", "KernelClassifier", "KernelRegressor", "load"]
