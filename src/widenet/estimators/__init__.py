"""scikit-learn estimators on kernels of wide networks."""

from widenet.estimators.augmentation import AugmentedClassifier, AugmentedRegressor, RandomCrop, RandomFlip
from widenet.estimators.classifier import KernelClassifier
from widenet.estimators.feature_classifier import FeatureClassifier
from widenet.estimators.feature_regressor import FeatureRegressor
from widenet.estimators.features import NTKFeatures
from widenet.estimators.gaussian_process import GaussianProcess
from widenet.estimators.persistence import load
from widenet.estimators.recurrent_grid import RecurrentGrid
from widenet.estimators.regressor import KernelRegressor
from widenet.estimators.row_sources import ArrayRows, IterableRows, RowSource
from widenet.estimators.support_vectors import SupportVectorMachine
from widenet.estimators.table_sources import CSVRows, ParquetRows, open_rows
from widenet.estimators.time_series import RecurrentKernelClassifier, RecurrentKernelRegressor
from widenet.estimators.zca import ZCA

__all__ = [
    "ZCA",
    "ArrayRows",
    "AugmentedClassifier",
    "AugmentedRegressor",
    "CSVRows",
    "FeatureClassifier",
    "FeatureRegressor",
    "GaussianProcess",
    "IterableRows",
    "KernelClassifier",
    "KernelRegressor",
    "NTKFeatures",
    "ParquetRows",
    "RandomCrop",
    "RandomFlip",
    "RecurrentGrid",
    "RecurrentKernelClassifier",
    "RecurrentKernelRegressor",
    "RowSource",
    "SupportVectorMachine",
    "load",
    "open_rows",
]
