"""Theory of wide networks as kernels."""

from widenet.theory.matching import LaplaceMatch, match_laplace
from widenet.theory.spectrum import ZonalSpectrum, decay_slope, multiplicity, zonal_spectrum

__all__ = ["LaplaceMatch", "ZonalSpectrum", "decay_slope", "match_laplace", "multiplicity", "zonal_spectrum"]
