"""Architectures: networks as values, without weights and without a reading."""

from widenet.architectures.activations import (
    GELU,
    RBF,
    Abs,
    AbsLinear,
    Activation,
    Cosine,
    Elementwise,
    Erf,
    GaussianBump,
    LeakyReLU,
    Polynomial,
    ReLU,
    Sine,
    sigmoid_like,
)
from widenet.architectures.base import BranchSum, Concat, Identity, Layer, Repeat, Scale, Serial, serial, walk
from widenet.architectures.layers import Dense, LayerNorm, freeze
from widenet.architectures.threshold import ThresholdReLU, sparse_network
from widenet.architectures.zoo import fully_connected
from widenet.architectures.zoo_residual import densenet, residual

__all__ = [
    "GELU",
    "RBF",
    "Abs",
    "AbsLinear",
    "Activation",
    "BranchSum",
    "Concat",
    "Cosine",
    "Dense",
    "Elementwise",
    "Erf",
    "GaussianBump",
    "Identity",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Polynomial",
    "ReLU",
    "Repeat",
    "Scale",
    "Serial",
    "Sine",
    "ThresholdReLU",
    "densenet",
    "freeze",
    "fully_connected",
    "residual",
    "serial",
    "sigmoid_like",
    "sparse_network",
    "walk",
]
