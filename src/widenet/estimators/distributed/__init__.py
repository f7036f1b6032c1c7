"""Fits, feature maps and Gram matrices on more than one machine, by Dask: everything here needs `widenet[dask]`."""

from widenet.estimators.distributed.fit import Distributed
from widenet.estimators.distributed.gram import gram_product, kernel_gram
from widenet.estimators.distributed.landmarks import landmark_path

__all__ = ["Distributed", "gram_product", "kernel_gram", "landmark_path"]
