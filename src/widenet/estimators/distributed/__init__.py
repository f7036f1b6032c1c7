"""Fits, feature maps and Gram matrices on more than one machine, by Dask: everything here needs `widenet[dask]`."""

from widenet.estimators.distributed.gram import gram_product, kernel_gram

__all__ = ["gram_product", "kernel_gram"]
