"""Infinitely wide networks as kernels, and wide networks made cheap. For PyTorch and scikit-learn."""

__version__ = "0.1.0"
