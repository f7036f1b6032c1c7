"""The infinite-width kernel of a factorised layer: that of two Dense layers without an activation between them."""

from widenet.architectures import Dense, FactorizedDense


def dense_factors(layer: FactorizedDense) -> tuple[Dense, Dense]:
    """Two Dense layers whose kernels one after the other are that of a factorised layer, but for biases.

    With K and T the covariance and the tangent of the inputs, of variances w^2 and b^2, they give
    w^2 K + b^2 and w^2 (T + K if V is trained) + (w^2 K + b^2 if U is trained). Biases that are trained beside a frozen
    U add b^2 more.

    Args:
        layer: The layer, whose rank does not enter.
    """
    inner = Dense(fan_in_scaling=layer.fan_in_scaling, trainable=layer.train in ("inner", "both"))
    trained = layer.train in ("outer", "both")
    return inner, Dense(layer.weight_std, layer.bias_std, trainable=trained, width=layer.width)
