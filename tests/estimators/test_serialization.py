"""Kernels and architectures as JSON and back."""

import json

import numpy as np
import pytest
import torch

import widenet.architectures as layers
from widenet import features, kernels
from widenet.architectures import Layer
from widenet.errors import InvalidFile, InvalidInput
from widenet.estimators import SupportVectorMachine
from widenet.estimators.serialization import FUNCTIONS, REGISTRY, from_json, to_json
from widenet.kernels import (
    NNGP,
    NTK,
    ArcCosine,
    Bidirectional,
    GammaExponential,
    Gaussian,
    Homogeneous,
    Kernel,
    Laplace,
    Linear,
    Matern,
    Normalized,
    Zonal,
)
from widenet.solvers import Auto, Cholesky, ConjugateGradient, Landmarks, Spectral

VALUES = [
    layers.fully_connected(3, bias_std=0.1),
    layers.fully_connected(2, scaling="geifman", bias_std=0.3),
    layers.freeze(layers.fully_connected(3), 2),
    layers.Dense() >> layers.Concat(layers.Dense() >> layers.Erf(), layers.Dense()) >> layers.LayerNorm(),
    layers.Identity() + (layers.ReLU() >> layers.Dense()),
    layers.Dense() >> layers.Elementwise(torch.tanh) >> (2.0 * layers.Dense()),
    layers.LeakyReLU(0.2) >> layers.Abs() >> layers.AbsLinear(0.3, 0.4),
    layers.GELU() >> layers.Erf() >> layers.Sine() >> layers.Cosine() >> layers.RBF() >> layers.GaussianBump(),
    layers.Polynomial((1.0, 0.5)) >> layers.ThresholdReLU(0.5),
    layers.FactorizedDense(64, train="both", frozen="hadamard"),
    layers.Conv((3, 5), 2, "valid") >> layers.AvgPool() >> layers.SumPool(3, 1) >> layers.Flatten(),
    layers.GlobalAveragePool() + layers.GlobalSumPool(),
    NTK(layers.convolutional(2), input_shape=(8, 8, 1)),
    NTK(layers.recurrent(2, layers.Recurrent(layers.Erf(), 1.2, initial_state="shared"), readout="stepwise")),
    Bidirectional(NTK(layers.Recurrent() >> layers.LastStep() >> layers.Dense(), input_shape=(-1, 2))),
    SupportVectorMachine(C=(1.0, 10.0), folds=5),
    NTK(layers.fully_connected(3)),
    0.5 * NNGP(layers.fully_connected(1)) + Laplace(2.0) * Gaussian(0.1),
    Homogeneous(GammaExponential(2.0, 0.5)),
    Normalized(Matern(1.0, 1.5)) + Linear(0.5) + ArcCosine(1),
    Zonal(torch.exp),
    kernels.TruncatedDual(layers.ReLU(), 3),
    kernels.TruncatedDual(layers.GELU(), 3),
    Cholesky(overwrite=True),
    Spectral(tolerance=1e-8),
    Auto(memory_limit="1 GiB"),
    ConjugateGradient(),
    Landmarks(),
    features.ArchitectureFeatures(NNGP(layers.fully_connected(1)), 40),
    features.CNTKSketch(64, depth=2, input_shape=(8, 8, 1)),
    features.FourierFeatures(Laplace(2.0), 8, orthogonal=False),
    features.NTKRandomFeatures(1, 9, leverage=True),
    features.NTKSketch(2, 9, fitting="minimax"),
    features.Nystroem(Laplace(2.0), 8),
    features.PrincipalFeatures(ArcCosine(1), 9),
    features.ProductFeatures(features.NTKSketch(ArcCosine(1), 4), features.FourierFeatures(Laplace(1.0), 3), 12),
    features.ScaledFeatures(0.5, features.ZonalRandomFeatures(ArcCosine(0), 5)),
    features.SumFeatures(features.NTKSketch(1, 4), features.NTKSketch(2, 4)),
    features.Sketch(0.5 * NTK(layers.fully_connected(2)), 30, adapt=False),
    (1, 2.5, None, True, "text", (Laplace(1.0),)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
def test_a_value_comes_back_equal(value):
    again = from_json(json.loads(json.dumps(to_json(value))))
    assert again == value
    assert repr(again) == repr(value)


def test_a_file_of_an_older_version_lacks_options_that_came_later():
    saved = to_json(NTK(layers.Dense()))
    del saved["arguments"]["input_shape"]
    assert from_json(saved) == NTK(layers.Dense())
    del saved["arguments"]["architecture"]
    with pytest.raises(InvalidFile, match="NTK must have its own arguments"):
        from_json(saved)


def names_in(value):
    if isinstance(value, dict):
        yield from [value["class"]] if "class" in value else []
        for item in value.values():
            yield from names_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from names_in(item)


def test_every_public_kernel_and_layer_is_covered():
    public = {
        name
        for module, base in ((layers, Layer), (kernels, Kernel))
        for name in module.__all__
        if isinstance(getattr(module, name), type) and issubclass(getattr(module, name), base)
    }
    abstract = {"Kernel", "Layer", "Activation", "Pool", "SpatialLayer", "ZonalAngle"}
    assert public - abstract <= set(REGISTRY)
    covered = set(names_in([to_json(value) for value in VALUES]))
    assert set(REGISTRY) == covered


@pytest.mark.parametrize(
    "value", [layers.Elementwise(lambda z: z), Zonal(np.load), np.random.default_rng, object(), lambda X, Y: X]
)
def test_functions_without_a_name_in_the_list_are_refused(value):
    with pytest.raises(InvalidInput, match="can be saved"):
        to_json(value)


@pytest.mark.parametrize(
    "value",
    [
        {"function": "os.system"},
        {"function": "torch.load"},
        {"function": "numpy.fromfile"},
        {"class": "Popen", "arguments": {}},
        {"class": "Laplace", "arguments": {"scale": -1.0}},
        {"class": "Laplace", "arguments": {}},
        {"class": "Laplace", "arguments": {"scale": 1.0, "more": 2}},
        {"class": "Laplace", "arguments": [1.0]},
        {"class": ["Laplace"], "arguments": {}},
        {"function": ["torch.exp"]},
        {"class": "NTK", "arguments": {"architecture": 3}},
        {"anything": 1},
    ],
)
def test_foreign_values_are_refused(value):
    with pytest.raises(InvalidFile):
        from_json(value)


def test_the_list_of_functions_holds_elementwise_ones_only():
    points, numbers = torch.tensor([0.25, 0.5]), np.array([0.25, 0.5])
    for name, function in FUNCTIONS.items():
        assert function(numbers if name.startswith("numpy") else points).shape == (2,), name
