"""What scikit-learn asks of every estimator, of the regressions on features."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from widenet.estimators.persistence import FEATURE_ESTIMATORS
from widenet.kernels import Laplace


# The default, which chooses a kernel in each fit, passes too, in a minute.
@parametrize_with_checks([cls(Laplace(2.0), size=50) for cls in FEATURE_ESTIMATORS.values()])
def test_scikit_learn_check(estimator, check):
    check(estimator)
