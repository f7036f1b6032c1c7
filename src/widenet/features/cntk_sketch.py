"""CNTKSketch: explicit features of convolutional ReLU networks with global average pooling."""

from dataclasses import dataclass, replace
from typing import Literal

from widenet._arrays import Array
from widenet.architectures import Serial, convolutional
from widenet.errors import InvalidInput
from widenet.features.architecture import ArchitectureFeatures, FittedArchitecture
from widenet.features.base import FeatureMap
from widenet.kernels import NTK, Kernel


@dataclass(frozen=True)
class CNTKSketch(FeatureMap):
    """Explicit features of the tangent kernel of a convolutional ReLU network with global average pooling.

    Of `convolutional(depth, filter_size=...)`, He-scaled, whose kernel compares every position of one image with every
    position of the other. The mean of a kernel over pairs of positions is the inner product of mean features, so that
    the features cost what the positions cost, and not their pairs.

    Args:
        size: Number of features.
        seed: Of all sketches.
        depth: Number of convolutions, each followed by a ReLU.
        filter_size: Positions of a filter along every axis.
        readout: "trained": all layers are trained. "frozen": the last, dense one is not, as in the paper's code.
        input_shape: (H, W, C) of rows that are images; None where the points come with their positions.
        degree: Highest power of the correlation in the series of the ReLU.
        width: Sketched features of each kernel at every position inside the network; None as in `ArchitectureFeatures`.
        lowest: Least cosine between two patches; 0 for images without negative numbers.

    Raises:
        InvalidArchitecture: On a depth or filter size out of range.
        InvalidInput: On another readout, or a size, degree, width or cosine out of range.

    Cost:
        As for `ArchitectureFeatures`: linear in images, positions and depth.

    References: Zandieh et al. 2021, arXiv 2106.07880.

    Example:
        >>> import numpy as np
        >>> images = np.random.default_rng(0).standard_normal((3, 6, 6, 1))
        >>> sketch = CNTKSketch(size=1024, depth=2)
        >>> K, Z = sketch.kernel(images), sketch(images)
        >>> bool(abs(Z @ Z.T - K).max() < 0.1 * K.max())
        True
    """

    size: int
    seed: int = 0
    depth: int = 3
    filter_size: int = 3
    readout: Literal["trained", "frozen"] = "trained"
    input_shape: tuple[int, ...] | None = None
    degree: int = 4
    width: int | None = None
    lowest: float = -1.0

    def __post_init__(self) -> None:
        if self.readout not in ("trained", "frozen"):
            raise InvalidInput("CNTKSketch.readout must be 'trained' or 'frozen'", repr(self.readout))
        _ = self.features

    @property
    def kernel(self) -> Kernel:
        """The kernel whose features these are."""
        network = convolutional(self.depth, filter_size=self.filter_size)
        if self.readout == "frozen":
            if not isinstance(network, Serial):
                raise AssertionError("a convolutional network is a chain")
            network = Serial((*network.layers[:-1], replace(network.layers[-1], trainable=False)))
        return NTK(network, self.input_shape)

    @property
    def features(self) -> ArchitectureFeatures:
        """The same map by its kernel."""
        return ArchitectureFeatures(self.kernel, self.size, self.seed, self.degree, self.width, self.lowest)

    def fit(self, X: Array) -> FittedArchitecture:
        """Share the features out among the layers, for images of the shape of X; nothing else of them matters."""
        return self.features.fit(X)
