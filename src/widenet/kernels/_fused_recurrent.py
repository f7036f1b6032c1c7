"""Numba loops of recurrent kernels: all steps of a tile of pairs, which stays in the first cache meanwhile.

Sequences end at the same step and are sorted by falling length, so those that have begun are the first ones of
every row at every step. What of a sequence does not depend on the other one is in its table, (steps, rows, n).

For positively homogeneous activations each layer's units g = (hidden part, input part, bias part) are unit vectors:
their halved lengths, and halved input channels, are the rows (hidden, bias, inputs...) of the table, and a pair is

    near = |u - v|^2 / 4 = 4 h_i h_j near_h + (h_i - h_j)^2 + (b_i - b_j)^2 + sum_k (x_ik - x_jk)^2,
    far  = |u + v|^2 / 4 = 4 h_i h_j far_h  + (h_i - h_j)^2 + (b_i + b_j)^2 + sum_k (x_ik + x_jk)^2,

sums of squares that lose no digits, overflow for no hidden_std, and leave equal sequences at near = 0. The tangent
is divided by the sizes as well. For the error function the covariance itself is carried, with sqrt(b / (1 + b E u^2))
of both sequences from the table. What is kept between steps are the moments after the activation.

The loops hold no lock and start no thread.
"""

import math

import numpy as np
from numba import njit

_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_inline = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"}, inline="always")
_ROWS, _NUMBERS = 8, 3072  # rows of a tile, and numbers of its state: 24 KB
_VECTOR = 8  # numbers in the widest register


@_loop
def _arc(z):
    """R(z) = arcsin(sqrt z) / sqrt(z (1 - z)) on [0, 1/2] as for dense chains, in two halves that overlap in time."""
    w = 4.0 * z - 1.0
    q = w * w
    even = 1.155596335517553e-10
    even = even * q + 4.847870212537191e-10
    even = even * q + 5.99775844099466e-09
    even = even * q + 5.579896370054702e-08
    even = even * q + 5.418287002530394e-07
    even = even * q + 5.314300137765282e-06
    even = even * q + 5.307369977099968e-05
    even = even * q + 0.000544773988660799
    even = even * q + 0.005861628974916285
    even = even * q + 0.06973319205204817
    even = even * q + 1.2091995761561452
    odd = 3.5494026622357296e-10
    odd = odd * q + 1.497309269587466e-09
    odd = odd * q + 1.8554844983920357e-08
    odd = odd * q + 1.7343078169085141e-07
    odd = odd * q + 1.693860323878943e-06
    odd = odd * q + 1.6749075819869722e-05
    odd = odd * q + 0.0001693099597410185
    odd = odd * q + 0.0017729284598670242
    odd = odd * q + 0.0198371469225361
    odd = odd * q + 0.2636001412812842
    return odd * w + even


@_inline
def _homogeneous(near, far, tangent, odd, even):
    """Near, far and tangent after an activation with the shares odd of z^2 and even of |z|^2."""
    z = min(near, far)
    rest = 1.0 - z
    root = 2.0 * np.sqrt(z * rest)
    p = root * _arc(z)
    fold = max(z - (root - p * (rest - z)) * (1.0 / math.pi), 0.0)
    slope = even * (1.0 - p * (2.0 / math.pi))
    slope = odd + (slope if near < far else -slope)
    return odd * near + even * fold, odd * far + even * (1.0 - fold), slope * tangent


@_inline
def _cosine(near, far):
    z = 1.0 - 2.0 * min(near, far)
    return z if near < far else -z


@_loop
def _one_channel(state, x, y, numbers):
    """First layer on one channel: everything in one pass over a row."""
    near, far, tangent = state
    hidden, bias, unit = x
    y_hidden, y_bias, y_unit = y
    odd, even, trained = numbers
    twice = 4.0 * hidden
    for j in range(near.shape[0]):
        h, b, u = y_hidden[j], y_bias[j], y_unit[j]
        p, across = twice * h, hidden - h
        bias_apart, bias_along, apart, along = bias - b, bias + b, unit - u, unit + u
        common = across * across
        one = p * near[j] + (common + bias_apart * bias_apart + apart * apart)
        two = p * far[j] + (common + bias_along * bias_along + along * along)
        own = _cosine(one, two) if trained > 0.0 else 0.0
        total = own + p * tangent[j]
        near[j], far[j], tangent[j] = _homogeneous(one, two, total, odd, even)


@_loop
def _any_layer(state, lower, x, y, numbers):
    """A layer whose input part is in `lower`."""
    near, far, tangent = state
    input_near, input_far, input_tangent = lower
    hidden, bias = x
    y_hidden, y_bias = y
    odd, even, trained = numbers
    twice = 4.0 * hidden
    for j in range(near.shape[0]):
        h, b = y_hidden[j], y_bias[j]
        p, across = twice * h, hidden - h
        bias_apart, bias_along = bias - b, bias + b
        common = across * across
        one = p * near[j] + (common + bias_apart * bias_apart + input_near[j])
        two = p * far[j] + (common + bias_along * bias_along + input_far[j])
        own = _cosine(one, two) if trained > 0.0 else 0.0
        total = (own + p * tangent[j]) + input_tangent[j]
        near[j], far[j], tangent[j] = _homogeneous(one, two, total, odd, even)


@_loop
def _channels(lower, x, y, channels, place):
    """Input part of the first layer: squared differences and sums of the channels."""
    near, far, tangent = lower
    i, j0, j1 = place
    for j in range(near.shape[0]):
        near[j], far[j], tangent[j] = 0.0, 0.0, 0.0
    for k in range(channels):
        unit, others = x[2 + k, i], y[2 + k, j0:j1]
        for j in range(near.shape[0]):
            apart, along = unit - others[j], unit + others[j]
            near[j] += apart * apart
            far[j] += along * along


@_loop
def _layer_below(lower, below, unit, y_unit):
    """Input part of a layer on a layer, as the hidden part of that one."""
    near, far, tangent = lower
    below_near, below_far, below_tangent = below
    twice = 4.0 * unit
    for j in range(near.shape[0]):
        u = y_unit[j]
        p, across = twice * u, unit - u
        near[j] = p * below_near[j] + across * across
        far[j] = p * below_far[j] + across * across
        tangent[j] = p * below_tangent[j]


@_loop
def _homogeneous_layers(state, work, x, y, program, place):
    """One step of all layers for one row of pairs."""
    i, j0, j1 = place
    count = j1 - j0
    channels = x.shape[0] - 2 - 3 * (program.shape[0] - 1)
    lower = (work[0, :count], work[1, :count], work[2, :count])
    row = 0
    for layer in range(program.shape[0]):
        numbers = (program[layer, 0], program[layer, 1], program[layer, 2])
        own = (state[layer, 0, :count], state[layer, 1, :count], state[layer, 2, :count])
        hidden, bias = y[row, j0:j1], y[row + 1, j0:j1]
        if layer == 0 and channels == 1:
            _one_channel(own, (x[0, i], x[1, i], x[2, i]), (hidden, bias, y[2, j0:j1]), numbers)
        else:
            if layer == 0:
                _channels(lower, x, y, channels, place)
            else:
                below = (state[layer - 1, 0, :count], state[layer - 1, 1, :count], state[layer - 1, 2, :count])
                _layer_below(lower, below, x[row + 2, i], y[row + 2, j0:j1])
            _any_layer(own, lower, (x[row, i], x[row + 1, i]), (hidden, bias), numbers)
        row += 2 + channels if layer == 0 else 3


@njit(nogil=True, cache=True, error_model="numpy")
def rounded_sum(x, y):
    """Sum of rounded numbers: never one multiply-add, which some loops would make of it and others not."""
    return x + y


@_inline
def error_function(covariance, scale, amplitude):
    """Value amplitude arcsin(s) and its derivative by the covariance, for s = covariance * scale."""
    s = covariance * scale
    size = abs(s)
    root = np.sqrt((1.0 - size) * (1.0 + size))
    small = size < 0.6
    part = root * _arc(s * s if small else 0.5 - 0.5 * size)
    large = rounded_sum(0.5 * math.pi, -part)
    arc = s * part if small else (large if s > 0.0 else -large)
    return amplitude * arc, amplitude * scale / root


@_loop
def _error_layer(state, lower, scale, y_scale, numbers):
    """A layer of error functions whose input part is in `lower`."""
    value, tangent = state
    input_value, input_tangent = lower
    amplitude, offset, trained, hidden, bias = numbers
    for j in range(value.shape[0]):
        covariance = hidden * value[j] + (bias + input_value[j])
        total = trained * covariance + (hidden * tangent[j] + input_tangent[j])
        arc, slope = error_function(covariance, scale * y_scale[j], amplitude)
        value[j], tangent[j] = arc + offset, slope * total


@_loop
def _products(lower, x, y, channels, place):
    """Input part of the first layer: inner products."""
    value, tangent = lower
    i, j0, j1 = place
    for j in range(value.shape[0]):
        value[j], tangent[j] = 0.0, 0.0
    for k in range(channels):
        unit, others = x[k, i], y[k, j0:j1]
        for j in range(value.shape[0]):
            value[j] += unit * others[j]


@_loop
def _error_layers(state, work, x, y, program, place):
    """One step of all layers of error functions for one row of pairs."""
    i, j0, j1 = place
    count = j1 - j0
    channels = x.shape[0] - program.shape[0]
    value, tangent = work[0, :count], work[2, :count]
    for layer in range(program.shape[0]):
        amplitude, offset, trained, hidden, gain, bias = program[layer]
        if layer == 0:
            _products((value, tangent), x, y, channels, place)
        else:
            below, above = state[layer - 1, 0, :count], state[layer - 1, 2, :count]
            for j in range(count):
                value[j], tangent[j] = gain * below[j], gain * above[j]
        own = (state[layer, 0, :count], state[layer, 2, :count])
        row = channels + layer
        _error_layer(own, (value, tangent), x[row, i], y[row, j0:j1], (amplitude, offset, trained, hidden, bias))


@_loop
def _begin(state, x_first, y_first, new, starts):
    """Start the new pairs of a row: unrelated, or in one shared state where both sequences begin at this step."""
    for layer in range(state.shape[0]):
        for j in range(new, y_first.shape[0]):
            both = x_first == y_first[j]
            state[layer, 0, j] = starts[layer, 2] if both else starts[layer, 0]
            state[layer, 1, j] = starts[layer, 3] if both else starts[layer, 1]
            state[layer, 2, j] = 0.0


@_loop
def _read(out, state, x_size, y_size, error):
    """Add the moments of the units at a step, weighted by the sizes, to the sums over steps."""
    covariances, tangents = out
    first, second, tangent = state
    for j in range(y_size.shape[0]):
        size = x_size * y_size[j]
        value = first[j] if error else _cosine(first[j], second[j])
        covariances[j] += size * value
        tangents[j] += size * tangent[j]


@_loop
def _tile(out, x, y, network, corner):
    """All steps of one tile."""
    (x_table, x_first, x_size), (y_table, y_first, y_size) = x, y
    program, starts, error, every = network
    i0, i1, j0, j1 = corner
    top, steps = program.shape[0] - 1, x_table.shape[0]
    width = (j1 - j0 + _VECTOR - 1) // _VECTOR * _VECTOR
    state = np.zeros((i1 - i0, top + 1, 3, width))
    work = np.empty((3, width))
    end = j0
    for s in range(steps):
        before = end
        while end < j1 and y_first[end] <= s:
            end += 1
        if end == j0:
            continue
        x_rows, y_rows = x_table[s], y_table[s]
        # Up to whole vectors: what is computed there for pairs that have not begun is overwritten when they do.
        padded = j0 + (end - j0 + _VECTOR - 1) // _VECTOR * _VECTOR
        for i in range(i0, i1):
            if x_first[i] > s:
                break
            own = state[i - i0]
            new = j0 if x_first[i] == s else before
            if new < end:
                _begin(own, x_first[i], y_first[j0:end], new - j0, starts)
            if error:
                _error_layers(own, work, x_rows, y_rows, program, (i, j0, padded))
            else:
                _homogeneous_layers(own, work, x_rows, y_rows, program, (i, j0, padded))
            if every:
                sums, units = (out[0, i, j0:end], out[1, i, j0:end]), (own[top, 0], own[top, 1], own[top, 2])
                _read(sums, units, x_size[s, i], y_size[s, j0:end], error)
    if not every:
        for i in range(i0, i1):
            for part in range(3):
                for j in range(j0, end):
                    out[part, i, j] = state[i - i0, top, part, j - j0]


@_loop
def recurrent_pairs(out, x, y, program, starts, flags):
    """Moments of the units of the top layer, for all pairs of two sets of sequences over one range of steps.

    Args:
        out: (3, n, m), overwritten by near, far and tangent at the last step (of the error function: value, nothing,
            tangent); or, to read every step, (2, n, m), to which sums over the steps of covariance and tangent are
            added.
        x: Table (steps, rows, n filled up with zeros to a multiple of 8); the step at which each of the sequences
            begins, (n,), not falling, maybe before the range; sizes of the units, (steps, n), used to read every step.
        y: The same of the others.
        program: (layers, 3): shares of z^2 and |z|^2, 1 if trained. Of the error function (layers, 6): amplitude of
            the arcsine, square of the offset, 1 if trained, squares of the factors of hidden state, input, bias.
        starts: (layers, 4): first two moments of a new pair, and those where both begin at one step.
        flags: Whether the activation is the error function; whether to read every step; whether the sets are one, so
            that only the pairs j >= i are needed.
    """
    error, every, same = flags
    n, m = out.shape[1], out.shape[2]
    columns = max(32, _NUMBERS // (3 * _ROWS * program.shape[0]) // 8 * 8)
    for i in range(0, n, _ROWS):
        for j in range(i if same else 0, m, columns):
            corner = (i, min(i + _ROWS, n), j, min(j + columns, m))
            _tile(out, x, y, (program, starts, error, every), corner)
