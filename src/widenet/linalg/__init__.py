"""Gram matrices in blocks: never stored, or stored on disk."""

from widenet.linalg.block_matrix import BlockLayout, BlockMatrix, Progress
from widenet.linalg.disk import StoredKernelMatrix
from widenet.linalg.kernel_matrix import KernelMatrix

__all__ = ["BlockLayout", "BlockMatrix", "KernelMatrix", "Progress", "StoredKernelMatrix"]
