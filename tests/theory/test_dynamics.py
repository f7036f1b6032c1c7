"""Networks in training against reference values, an ODE solver, simulated starts, and networks that were trained."""

from math import inf, sqrt

import numpy as np
import pytest
import scipy.linalg
import torch
from scipy.integrate import solve_ivp
from sklearn.gaussian_process import GaussianProcessRegressor

from widenet import NNGP, NTK, fully_connected
from widenet.errors import InvalidInput
from widenet.estimators.gp_kernel import as_gp_kernel
from widenet.kernels import Gaussian, Linear
from widenet.networks import Centred, Ensemble, GradientDescent, network, predict, train
from widenet.theory.dynamics import GradientFlow, NetworkStart

# Reference values of the ReLU network with weight_std^2 = 2, no bias, three hidden layers: derived apart from this
# library, and confirmed there by 4e5 simulated starts.
PAIR, LABELS, POINT = np.array([[1.0, 0.0], [0.6, 0.8]]), np.array([1.0, -1.0]), np.array([[0.0, 1.0]])
DEEP = fully_connected(3, weight_std=sqrt(2))
KERNELS = NTK(DEEP), NNGP(DEEP)

rng = np.random.default_rng(0)
X, Y, NEW = rng.normal(size=(8, 3)), rng.normal(size=(8, 2)), rng.normal(size=(5, 3))
SMALL = fully_connected(2, weight_std=sqrt(2), bias_std=0.3)
TIMES = np.array([0.0, 0.2, 3.0, 400.0])
THETA = NTK(SMALL)(X), NTK(SMALL)(NEW, X)


def flow(**options):
    return GradientFlow(NTK(SMALL), NNGP(SMALL), **options)


def formula(t, eta=1.0, decay=0.0):
    """B_t on the test points and on the training points, by the matrix exponential."""
    theta, cross = THETA
    decayed = theta + decay * np.eye(len(X))
    learned = np.linalg.solve(decayed, np.eye(len(X)) - scipy.linalg.expm(-eta * t * decayed))
    return cross @ learned, theta @ learned


@pytest.mark.parametrize(
    ("depth", "values"),
    [
        (1, (0.677547567767, 1.100447226586, 2.0, 0.318309886184, 0.827119719951, 0.318309886184, 1.463253508192)),
        (3, (0.775312434844, 1.952286685185, 4.0, 0.604825720113, 0.866649767799, 1.060388106803, 2.540196544964)),
    ],
)
def test_kernels_of_the_reference_pair(depth, values):
    ntk, nngp = (kind(fully_connected(depth, weight_std=sqrt(2))) for kind in (NTK, NNGP))
    found = nngp(PAIR)[0, 1], ntk(PAIR)[0, 1], ntk(PAIR)[0, 0], *nngp(POINT, PAIR)[0], *ntk(POINT, PAIR)[0]
    np.testing.assert_allclose(found, values, rtol=0, atol=1e-12)


def test_mean_and_variance_of_the_reference_ensemble():
    trained = GradientFlow(*KERNELS).fit(PAIR, LABELS)
    mean, variance = trained.mean([0.1, 1.0, inf], POINT)[:, 0], trained.variance([0.1, 1.0, inf], POINT)[:, 0]
    np.testing.assert_allclose(mean, [-0.13381305223920, -0.62941883192225, -0.7226638746], rtol=0, atol=1e-10)
    np.testing.assert_allclose(variance, [0.63306043472339, 0.31503583704643, 0.3041583269], rtol=0, atol=1e-10)
    np.testing.assert_allclose(mean[:2], [-0.13381305223920, -0.62941883192225], rtol=1e-13)
    np.testing.assert_allclose(variance[:2], [0.63306043472339, 0.31503583704643], rtol=1e-13)


def test_posterior_and_ridges_of_the_reference_pair():
    trained = GradientFlow(*KERNELS).fit(PAIR, LABELS)
    assert trained.ridge_mean([0.0], POINT, "nngp")[0, 0] == pytest.approx(-1.16528054191261, rel=1e-13)
    assert trained.posterior_variance([0.0], POINT)[0, 0] == pytest.approx(0.23763131412898, rel=1e-13)
    assert trained.ridge_mean([0.1], POINT, "nngp")[0, 0] == pytest.approx(-0.80638766550911, rel=1e-13)
    assert trained.ridge_mean([0.1], POINT)[0, 0] == pytest.approx(-0.60456771191466, rel=1e-13)


def test_the_flow_at_its_ends():
    trained = flow().fit(X, Y)
    theta, K = NTK(SMALL), NNGP(SMALL)
    assert np.array_equal(trained.mean([0.0], NEW)[0], np.zeros((5, 2)))
    np.testing.assert_allclose(trained.covariance([0.0], NEW)[0], K(NEW), rtol=0, atol=1e-12)
    B = theta(NEW, X) @ np.linalg.inv(theta(X))
    expected = K(NEW) + B @ K(X) @ B.T - B @ K(X, NEW) - K(NEW, X) @ B.T
    np.testing.assert_allclose(trained.mean([inf], NEW)[0], B @ Y, rtol=1e-10)
    np.testing.assert_allclose(trained.covariance([inf], NEW)[0], expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(trained.variance([inf], NEW)[0], np.diag(expected), rtol=0, atol=1e-10)
    np.testing.assert_allclose(trained.mean([inf])[0], Y, rtol=0, atol=1e-13)
    assert np.abs(trained.variance([inf])).max() < 1e-25


@pytest.mark.parametrize("decay", [0.0, 0.4])
@pytest.mark.parametrize("start", ["random", "centred", "subtracted"])
def test_mean_and_covariance_follow_the_formula(start, decay):
    trained = flow(start=start, weight_decay=decay, learning_rate=0.3).fit(X, Y)
    K, K_new, known_new = NNGP(SMALL)(X), NNGP(SMALL)(NEW), NNGP(SMALL)(X, NEW)
    for points in (NEW, None):
        prior, known = (K, K) if points is None else (K_new, known_new)
        means, covariances = trained.mean(TIMES, points), trained.covariance(TIMES, points)
        variances, quarters = trained.variance(TIMES, points), trained.variance(TIMES, points, members=4)
        np.testing.assert_allclose(quarters, variances / 4, rtol=1e-13)
        for i, t in enumerate(TIMES):
            B = formula(t, 0.3, decay)[points is None]
            spread = {
                "random": prior + B @ K @ B.T - B @ known - known.T @ B.T,
                "centred": 0 * prior,
                "subtracted": B @ K @ B.T,
            }[start]
            np.testing.assert_allclose(means[i], B @ Y, rtol=0, atol=1e-11)
            np.testing.assert_allclose(covariances[i], spread, rtol=0, atol=1e-11)
            np.testing.assert_allclose(variances[i], np.diag(spread), rtol=0, atol=1e-11)


def test_the_covariance_on_the_training_points_decays_exponentially():
    theta, K = NTK(SMALL)(X), NNGP(SMALL)(X)
    for t in TIMES[:3]:
        E = scipy.linalg.expm(-theta * t)
        np.testing.assert_allclose(flow().fit(X, Y).covariance([t])[0], E @ K @ E, rtol=0, atol=1e-12)


def test_one_member_follows_the_differential_equation():
    theta, cross, n = NTK(SMALL)(X), NTK(SMALL)(NEW, X), len(X)
    start, start_at = rng.normal(size=(8, 1)), rng.normal(size=(5, 1))

    def move(_, f):
        return np.concatenate([theta, cross]) @ (Y[:, 0] - f[:n])

    whole = np.concatenate([start, start_at])[:, 0]
    path = solve_ivp(move, (0, 2), whole, method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    trained = flow().fit(X, Y[:, 0])
    at_test = trained.member([2.0], NetworkStart(start[:, 0], start_at[:, 0]), NEW)[0]
    np.testing.assert_allclose(at_test, path[n:], rtol=0, atol=1e-9)
    np.testing.assert_allclose(trained.member([2.0], NetworkStart(start[:, 0]))[0], path[:n], rtol=0, atol=1e-9)


def linear_model(seed=3, features=30):
    """A network that is linear in its parameters: the features are its Jacobian, the inputs the rows of these."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(8, features)), generator.normal(size=(4, features)), generator.normal(size=features)


@pytest.mark.parametrize("decay_to", ["start", "zero"])
@pytest.mark.parametrize("loss", ["sum", "mean"])
def test_weight_decay_is_that_of_parameters_trained_by_steps(decay_to, loss):
    J, J_new, first = linear_model()
    y, theta = Y[:, 0], first.copy()
    scale = 8 if loss == "mean" else 1
    for _ in range(40):
        pull = theta if decay_to == "zero" else theta - first
        theta = theta - 0.01 * (J.T @ (J @ theta - y) / scale + 0.6 * pull)
    made = GradientFlow(Linear(), Linear(), 0.01, loss, 0.6, decay_to, stepping="descent")
    trained = made.fit(J, y)
    # For a linear model the pull J theta_0 is f_0 itself.
    start = NetworkStart(J @ first, J_new @ first, J @ first, J_new @ first)
    np.testing.assert_allclose(trained.member([40], start, J_new)[0], J_new @ theta, rtol=1e-11)
    np.testing.assert_allclose(trained.member([40], NetworkStart(J @ first, None, J @ first))[0], J @ theta, rtol=1e-11)


def test_weight_decay_to_zero_at_convergence_has_the_closed_form():
    J, J_new, first = linear_model()
    made = GradientFlow(Linear(), Linear(), weight_decay=0.6, decay_to="zero")
    trained, y = made.fit(J, Y[:, 0]), Y[:, 0]
    pull, pull_at = rng.normal(size=8), rng.normal(size=4)
    theta, cross = J @ J.T, J_new @ J.T
    start, start_at = J @ first, J_new @ first
    expected = start_at - pull_at + cross @ np.linalg.solve(theta + 0.6 * np.eye(8), y - start + pull)
    found = trained.member([inf], NetworkStart(start, start_at, pull, pull_at), J_new)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("start", ["random", "centred", "subtracted"])
def test_the_variance_with_decay_to_zero_is_that_of_simulated_members(start):
    """Starts drawn from the NNGP, J theta_0 = L f_0: the covariance is linear algebra of `member`, column by column."""
    made = flow(weight_decay=0.5, decay_to="zero", degree=3.0, start=start)
    trained, K = made.fit(X, Y[:, 0]), NNGP(SMALL)
    joint = np.linalg.cholesky(K(np.concatenate([X, NEW])) + 1e-13 * np.eye(13))
    plain = flow(weight_decay=0.5, decay_to="zero")
    for points in (NEW, None):
        columns = []
        for column in joint.T:
            f, f_at = column[:8], column[8:]
            member = NetworkStart(f, f_at, 3 * f, 3 * f_at) if points is not None else NetworkStart(f, None, 3 * f)
            moved = trained.member([0.3, 5.0], member, points) - trained.mean([0.3, 5.0], points)
            own = f_at if points is not None else f
            if start != "random":
                moved = moved - own
            if start == "centred":
                # f - f_0 trained on y is f trained on y + f_0.
                moved = moved + plain.fit(X, f).mean([0.3, 5.0], points)
            columns.append(moved)
        found = trained.covariance([0.3, 5.0], points)
        for i in range(2):
            stacked = np.array([column[i] for column in columns])
            np.testing.assert_allclose(found[i], stacked.T @ stacked, rtol=0, atol=1e-9)


def test_decay_to_zero_needs_the_degree_for_a_variance_and_the_pull_for_a_member():
    trained = flow(weight_decay=0.5, decay_to="zero").fit(X, Y)
    assert trained.mean([1.0]).shape == (1, 8, 2)
    with pytest.raises(InvalidInput, match="degree"):
        trained.variance([1.0])
    with pytest.raises(InvalidInput, match="outputs at the training points"):
        trained.member([1.0], NetworkStart(Y))


def test_descent_tends_to_the_flow_and_is_the_steps():
    steps = np.array([0, 1, 7, 50])
    found = flow(learning_rate=0.05, stepping="descent").fit(X, Y).mean(steps, NEW)
    theta, cross, f, g = NTK(SMALL)(X), NTK(SMALL)(NEW, X), np.zeros((8, 2)), np.zeros((5, 2))
    for step in range(51):
        if step in steps:
            np.testing.assert_allclose(found[list(steps).index(step)], g, rtol=0, atol=1e-12)
        f, g = f + 0.05 * theta @ (Y - f), g + 0.05 * cross @ (Y - f)
    errors = []
    for rate in (1e-2, 1e-3):
        descent = flow(learning_rate=rate, stepping="descent").fit(X, Y).mean([round(1 / rate)], NEW)
        errors.append(np.abs(descent - flow().fit(X, Y).mean([1.0], NEW)).max())
    assert errors[1] == pytest.approx(errors[0] / 10, rel=0.2)  # first order in the rate


def test_a_mean_loss_is_slower_by_the_number_of_rows():
    found = flow(loss="mean").fit(X, Y).mean(8 * TIMES, NEW)
    np.testing.assert_allclose(found, flow().fit(X, Y).mean(TIMES, NEW), rtol=1e-12, atol=1e-14)


def test_ridges_are_the_end_of_weight_decay_and_the_posterior_of_a_gaussian_process():
    trained, relative = flow().fit(X, Y[:, 0]), 0.2
    decay = relative * np.trace(NTK(SMALL)(X)) / 8
    decayed = flow(weight_decay=decay).fit(X, Y[:, 0]).mean([inf], NEW)
    np.testing.assert_allclose(trained.ridge_mean([relative], NEW), decayed, rtol=1e-12)
    noise = relative * np.trace(NNGP(SMALL)(X)) / 8
    peer = GaussianProcessRegressor(as_gp_kernel(NNGP(SMALL)), alpha=noise, optimizer=None).fit(X, Y[:, 0])
    mean, std = peer.predict(NEW, return_std=True)
    np.testing.assert_allclose(trained.ridge_mean([relative], NEW, "nngp")[0], mean, rtol=1e-8)
    np.testing.assert_allclose(trained.posterior_variance([relative], NEW)[0], std**2, rtol=1e-6)
    assert trained.ridge_mean([relative]).shape == (1, 8)
    fitted = NTK(SMALL)(X) @ np.linalg.solve(NTK(SMALL)(X) + decay * np.eye(8), Y[:, 0])
    np.testing.assert_allclose(trained.ridge_mean([relative])[0], fitted, rtol=1e-11)
    own = peer.predict(X, return_std=True)[1] ** 2
    np.testing.assert_allclose(trained.posterior_variance([relative])[0], own, rtol=1e-6)


def test_stopping_early_is_much_like_the_equivalent_ridge():
    trained, times = flow(learning_rate=0.5).fit(X, Y), np.array([1.0, 4.0])
    ridges = trained.equivalent_ridges(times)
    np.testing.assert_allclose(ridges * np.trace(NTK(SMALL)(X)) / 8, 1 / (0.5 * times), rtol=1e-13)
    early, ridge = trained.mean(times, NEW), trained.ridge_mean(ridges, NEW)
    assert np.abs(early - ridge).max() < 0.35 * np.abs(ridge).max()
    assert np.abs(trained.mean([inf], NEW) - ridge).max() > np.abs(early - ridge).max()


def test_the_largest_stable_rate_separates_convergence_from_divergence():
    for options in ({}, {"loss": "mean", "weight_decay": 0.3}):
        limit = flow(**options).fit(X, Y).largest_stable_rate
        spread = []
        for factor in (0.98, 1.02):
            trained = flow(learning_rate=factor * limit, stepping="descent", **options).fit(X, Y)
            spread.append(np.abs(trained.mean([2000], NEW)).max())
        assert spread[0] < 100
        assert spread[1] > 1e6


def test_singular_kernels_and_tiny_variances_stay_sane():
    # Rank 3 of 8: directions that are never learned, and a covariance without Cholesky factor.
    trained = GradientFlow(Linear(), Linear()).fit(X, Y)
    projected = X @ np.linalg.lstsq(X, Y, rcond=None)[0]
    np.testing.assert_allclose(trained.mean([inf])[0], projected, rtol=0, atol=1e-12)
    assert (trained.variance([0.0, 1.0, inf], NEW) >= 0).all()
    assert trained.variance([inf], NEW).max() < 1e-20
    narrow = GradientFlow(Gaussian(20.0), Gaussian(20.0)).fit(X, Y)  # condition beyond 1e12
    assert (narrow.variance([1e3, 1e9, inf], NEW) >= 0).all()


def test_arrays_come_back_as_they_came():
    tensors = flow().fit(torch.from_numpy(X), torch.from_numpy(Y[:, 0]))
    found = tensors.mean([1.0], torch.from_numpy(NEW))
    assert isinstance(found, torch.Tensor)
    np.testing.assert_allclose(found, flow().fit(X, Y[:, 0]).mean([1.0], NEW), rtol=1e-13)
    single = flow().fit(X.astype(np.float32), Y)
    assert single.mean([1.0], NEW.astype(np.float32)).dtype == np.float64
    np.testing.assert_allclose(single.mean([1.0], NEW.astype(np.float32)), flow().fit(X, Y).mean([1.0], NEW), atol=1e-5)
    assert single.eigenvalues.shape == (8,)


@pytest.mark.parametrize("centred", [False, True])
def test_trained_networks_of_finite_width_agree_within_monte_carlo_error(centred):
    """250 networks of width 256, trained together; the bias from their width is a small part of the error."""
    members, rate, steps = 250, 0.1, np.array([1, 5, 40])
    arch = fully_connected(1, weight_std=sqrt(2))
    made = GradientFlow(NTK(arch), NNGP(arch), rate, start="centred" if centred else "random", stepping="descent")
    theory = made.fit(PAIR, LABELS)

    def member(seed):
        module = network(arch, 2, width=256, seed=seed, dtype=torch.float64)
        return Centred(module) if centred else module

    ensemble, done = Ensemble.of(member, range(members)), 0
    for index, step in enumerate(steps):
        train(ensemble, PAIR, LABELS, GradientDescent(rate, int(step) - done))
        done = int(step)
        outputs = predict(ensemble, POINT)[:, 0, 0]
        mean, variance = theory.mean(steps, POINT)[index, 0], theory.variance(steps, POINT)[index, 0]
        if centred:
            assert abs(outputs.mean() - mean) < 5 * outputs.std(ddof=1) / sqrt(members)
            assert outputs.var() < 4 / 256  # of order 1 / width, and 0 at infinite width
        else:
            assert abs(outputs.mean() - mean) < 4 * sqrt(variance / members)
            assert outputs.var(ddof=1) == pytest.approx(variance, rel=4 * sqrt(2 / members) + 0.02)


@pytest.mark.parametrize(
    "options",
    [{"learning_rate": 0.0}, {"learning_rate": inf}, {"weight_decay": -1.0}],
    ids=repr,
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InvalidInput):
        flow(**options)


def test_questions_that_have_no_answer_are_refused():
    trained = flow().fit(X, Y)
    for ask in (
        lambda: trained.mean([-1.0]),
        lambda: trained.variance([np.nan]),
        lambda: trained.variance([1.0], members=0),
        lambda: trained.mean([1.0], NEW[:, :2]),
        lambda: trained.mean([1.0], NEW.astype(np.float32)),
        lambda: trained.member([1.0], NetworkStart(Y), NEW),
        lambda: trained.member([1.0], NetworkStart(Y[:, :1])),
        lambda: flow(stepping="descent").fit(X, Y).mean([1.5]),
        lambda: flow().fit(X, Y[:3]),
    ):
        with pytest.raises(InvalidInput):
            ask()
