"""Gaussian process regression against scikit-learn's."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from widenet.errors import InvalidInput
from widenet.estimators import GaussianProcess, _base
from widenet.kernels import Gaussian, Laplace

RNG = np.random.default_rng(0)
X = RNG.normal(size=(30, 2))
Y = np.sin(X[:, 0]) + 0.1 * RNG.normal(size=30)
NEW = RNG.normal(size=(7, 2))


@pytest.fixture(scope="module")
def pair():
    model = GaussianProcess(Gaussian(1.5), ridge=0.05, amplitude=2.0, standardize=False).fit(X, Y)
    kernel = ConstantKernel(2.0, "fixed") * RBF(1.5, "fixed")
    return model, GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None).fit(X, Y - Y.mean())


def test_mean_deviation_and_covariance(pair):
    model, peer = pair
    mean, covariance = peer.predict(NEW, return_cov=True)
    np.testing.assert_allclose(model.predict(NEW), mean + Y.mean(), rtol=1e-9)
    np.testing.assert_allclose(model.predict_cov(NEW), covariance, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(model.predict_std(NEW), np.sqrt(np.diag(covariance)), rtol=1e-7)


def test_deviations_are_formed_by_blocks(pair, monkeypatch):
    sizes = []

    def kernel(X, Y=None):
        sizes.append(len(X if Y is None else Y))
        return Gaussian(1.5)(X, Y)

    model = GaussianProcess(kernel, ridge=0.05, amplitude=2.0, standardize=False).fit(X, Y)
    sizes.clear()
    monkeypatch.setattr(_base, "PREDICT_BYTES", 3 * 8 * len(X))
    np.testing.assert_allclose(model.predict_std(NEW), pair[0].predict_std(NEW), rtol=1e-9)
    assert max(sizes) == 3


def test_log_marginal_likelihood(pair):
    assert pair[0].log_marginal_likelihood() == pytest.approx(pair[1].log_marginal_likelihood(), rel=1e-10)


def test_the_amplitude_maximises_the_likelihood():
    best = GaussianProcess(Gaussian(1.5), ridge=0.05).fit(X, Y)
    for factor in (0.9, 1.1):
        other = GaussianProcess(Gaussian(1.5), ridge=0.05, amplitude=factor * best.amplitude_).fit(X, Y)
        assert other.log_marginal_likelihood() < best.log_marginal_likelihood()


def test_samples_have_the_posterior_s_moments(pair):
    model, draws = pair[0], 4000
    samples = model.sample_y(NEW, draws, random_state=1)
    deviation = model.predict_std(NEW)
    assert samples.shape == (7, draws)
    # 5 standard errors of a mean and of a variance of `draws` normal numbers.
    assert (np.abs(samples.mean(axis=1) - model.predict(NEW)) < 5 * deviation / np.sqrt(draws)).all()
    covariance = np.cov(samples)
    bound = 5 * np.outer(deviation, deviation) * np.sqrt(2 / draws)
    assert (np.abs(covariance - model.predict_cov(NEW)) < bound).all()


def test_a_plain_function_is_a_kernel_too():
    plain = GaussianProcess(lambda X, Y=None: Laplace(1.0)(X, Y), ridge=0.1).fit(X, Y)
    own = GaussianProcess(Laplace(1.0), ridge=0.1).fit(X, Y)
    np.testing.assert_allclose(plain.predict_std(NEW), own.predict_std(NEW), rtol=1e-12)


@pytest.mark.parametrize("amplitude", [-1.0, 0, np.inf, np.nan, "x", None, True])
def test_an_amplitude_must_be_positive(amplitude):
    with pytest.raises(InvalidInput, match="amplitude must be"):
        GaussianProcess(Laplace(1.0), ridge=0.1, amplitude=amplitude).fit(X, Y)


def test_a_variance_below_the_smallest_number_is_named():
    with pytest.raises(InvalidInput, match="variance that float64 can hold; got 0 from"):
        GaussianProcess(Laplace(1.0), ridge=0.1).fit(X, 1e-200 * Y)
