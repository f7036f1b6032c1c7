"""Loading of fitted estimators; `estimator.save(path)` writes them."""

from pathlib import Path

from widenet.errors import InvalidFile, WidenetError
from widenet.estimators._base import KernelEstimator
from widenet.estimators.classifier import KernelClassifier
from widenet.estimators.feature_base import FeatureEstimator
from widenet.estimators.feature_classifier import FeatureClassifier
from widenet.estimators.feature_regressor import FeatureRegressor
from widenet.estimators.gaussian_process import GaussianProcess
from widenet.estimators.model_file import read_model
from widenet.estimators.regressor import KernelRegressor
from widenet.estimators.time_series import RecurrentKernelClassifier, RecurrentKernelRegressor

ESTIMATORS: dict[str, type[KernelEstimator]] = {
    cls.__name__: cls
    for cls in (
        GaussianProcess,
        KernelClassifier,
        KernelRegressor,
        RecurrentKernelClassifier,
        RecurrentKernelRegressor,
    )
}

FEATURE_ESTIMATORS: dict[str, type[FeatureEstimator]] = {
    cls.__name__: cls for cls in (FeatureClassifier, FeatureRegressor)
}


def load(path: str | Path) -> KernelEstimator | FeatureEstimator:
    """A fitted estimator from the file that its `save` wrote.

    The file names only classes of a fixed registry and elementwise functions of a fixed list; nothing in it is
    evaluated.

    Args:
        path: The file.

    Raises:
        InvalidFile: Where the file is missing, truncated, corrupt, or of another program.

    Example:
        >>> import tempfile, numpy as np
        >>> from widenet.kernels import Laplace
        >>> X = np.arange(6.0)[:, None]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     KernelRegressor(Laplace(1.0), ridge=0.1).fit(X, X[:, 0]).save(f"{folder}/model")
        ...     load(f"{folder}/model").predict([[2.0]]).round(1)
        array([2.])
    """
    tensors, info = read_model(path)
    name = info.get("estimator")
    known = ESTIMATORS | FEATURE_ESTIMATORS
    if not isinstance(name, str) or name not in known:
        raise InvalidFile(f"{path} must name an estimator of this package", repr(name)[:80])
    try:
        return known[name].from_state(tensors, info)
    except InvalidFile:
        raise
    except (
        WidenetError,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        IndexError,
        OverflowError,
        RecursionError,
    ) as error:
        cause = f"{type(error).__name__}: {error}"
        raise InvalidFile(f"{path} must hold a whole {name}", " ".join(cause.split())[:200]) from error
