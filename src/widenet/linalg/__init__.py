"""Gram matrices in blocks: never stored, or stored on disk."""

from widenet.linalg.block_matrix import BlockLayout, BlockMatrix, Progress
from widenet.linalg.dense_matrix import DenseMatrix
from widenet.linalg.disk import StoredKernelMatrix
from widenet.linalg.kernel_matrix import KernelMatrix
from widenet.linalg.landmark_basis import LandmarkBasis, choose_landmarks
from widenet.linalg.pivoted_cholesky import PivotedCholesky

__all__ = [
    "BlockLayout",
    "BlockMatrix",
    "DenseMatrix",
    "KernelMatrix",
    "LandmarkBasis",
    "PivotedCholesky",
    "Progress",
    "StoredKernelMatrix",
    "choose_landmarks",
]
