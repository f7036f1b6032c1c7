"""Explicit features of wide-network kernels: maps z with z(x) . z(y) close to k(x, y), for linear models at scale."""

from widenet.features.base import FeatureMap, FittedMap

__all__ = ["FeatureMap", "FittedMap"]
