"""Numba loops of what recurrent kernels need of each sequence alone, for all sequences at once, step by step.

The loops hold no lock and start no thread.
"""

import numpy as np
from numba import njit

from widenet.kernels._fused_recurrent import error_function, rounded_sum

_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_STEP = 2.0**-200  # sizes are divided by 2^200 when a variance passes 2^400


@_loop
def homogeneous_tables(table, sizes, tangents, inputs, first, program):
    """Fill the tables of sequences for positively homogeneous activations.

    Args:
        table: (steps, rows, n), overwritten; the rows are named at the top of this file.
        sizes: (steps, n), overwritten by sqrt(E h^2) of the top layer over 2^(200 k).
        tangents: (steps, n), overwritten by the tangent of each sequence with itself over E h^2.
        inputs: Steps over sqrt(channels), (steps, channels, n).
        first: Step at which each sequence begins, (n,), not falling.
        program: (layers, 8): shares of z^2 and |z|^2, 1 if trained, squares of the factors of hidden state, input, bias
            and initial state, and the sum of squares of the activation's factors of z and |z|.

    Returns:
        k for every sequence, (n,).
    """
    steps, channels, n = inputs.shape
    layers = program.shape[0]
    state, tangent = np.zeros((layers, n)), np.zeros((layers, n))
    # Squares of the scale of a layer, and of that of the layer below over it.
    down, ratio = np.ones((layers, n)), np.ones((layers, n))
    scale, lower, powers = np.empty(n), np.empty(n), np.zeros(n, np.int64)
    count = 0
    for s in range(steps):
        while count < n and first[count] <= s:
            for layer in range(layers):
                state[layer, count] = program[layer, 6]
            count += 1
        row = 0
        for layer in range(layers):
            trained, hidden, gain, bias = program[layer, 2], program[layer, 3], program[layer, 4], program[layer, 5]
            own, below = state[layer], state[max(layer - 1, 0)]
            if layer == 0:
                for j in range(count):
                    scale[j] = 0.0
                for k in range(channels):
                    for j in range(count):
                        scale[j] += inputs[s, k, j] * inputs[s, k, j]
                for j in range(count):
                    scale[j] *= gain * down[0, j]
            else:
                for j in range(count):
                    scale[j] = gain * below[j] * ratio[layer, j]
            for j in range(count):
                variance = hidden * own[j] + (scale[j] + bias * down[layer, j])
                inverse = 1.0 / np.sqrt(variance) if variance > 0.0 else 0.0
                part = 0.5 * np.sqrt(hidden * own[j]) * inverse
                table[s, row, j] = part
                table[s, row + 1, j] = 0.5 * np.sqrt(bias * down[layer, j]) * inverse
                lower[j] = 0.0
                if layer > 0:
                    unit = 0.5 * np.sqrt(scale[j]) * inverse
                    table[s, row + 2, j] = unit
                    lower[j] = 4.0 * unit * unit * tangent[layer - 1, j]
                own[j] = program[layer, 7] * variance
                scale[j] = inverse
            for j in range(count):
                part = table[s, row, j]
                # Rounded as in the loops of pairs, so that a sequence and its copy have the value of the diagonal.
                tangent[layer, j] = (trained + 4.0 * part * part * tangent[layer, j]) + lower[j]
            if layer == 0:
                for k in range(channels):
                    for j in range(count):
                        factor = 0.5 * np.sqrt(gain * down[0, j]) * scale[j]
                        table[s, row + 2 + k, j] = factor * inputs[s, k, j]
            row += 2 + channels if layer == 0 else 3
            for j in range(count):
                while own[j] > 1.0 / (_STEP * _STEP):
                    own[j] *= _STEP * _STEP
                    down[layer, j] *= _STEP * _STEP
                    ratio[layer, j] *= _STEP * _STEP
                    if layer < layers - 1:
                        ratio[layer + 1, j] /= _STEP * _STEP
                    else:
                        powers[j] += 1
                        for before in range(s):
                            sizes[before, j] *= _STEP
        for j in range(count):
            sizes[s, j] = np.sqrt(state[layers - 1, j])
            tangents[s, j] = tangent[layers - 1, j]
        for j in range(count, n):
            sizes[s, j], tangents[s, j] = 0.0, 0.0
            for k in range(table.shape[1]):
                table[s, k, j] = 0.0
    return powers


@_loop
def error_tables(table, variances, tangents, inputs, first, program):
    """Fill the tables of sequences for the error function.

    Args:
        table: (steps, rows, n), overwritten: channels of the input, then sqrt(b / (1 + b E u^2)) of every layer.
        variances: (steps, n), overwritten by E h^2 of the top layer.
        tangents: (steps, n), overwritten by the tangent of each sequence with itself.
        inputs: Steps over sqrt(channels), (steps, channels, n).
        first: Step at which each sequence begins, (n,), not falling.
        program: (layers, 8): the first six numbers of `recurrent_pairs`, the square of the factor of the initial
            state, and b = 2 frequency^2.
    """
    steps, channels, n = inputs.shape
    layers = program.shape[0]
    state, tangent = np.zeros((layers, n)), np.zeros((layers, n))
    covariance = np.empty(n)
    count = 0
    for s in range(steps):
        while count < n and first[count] <= s:
            for layer in range(layers):
                state[layer, count] = program[layer, 6]
            count += 1
        for layer in range(layers):
            amplitude, offset, trained, hidden, gain, bias = program[layer, :6]
            steepness = program[layer, 7]
            if layer == 0:
                factor = np.sqrt(gain)
                for j in range(count):
                    covariance[j] = 0.0
                for k in range(channels):
                    for j in range(count):
                        unit = factor * inputs[s, k, j]
                        table[s, k, j] = unit
                        covariance[j] += unit * unit
            for j in range(count):
                value = covariance[j] if layer == 0 else gain * state[layer - 1, j]
                below = 0.0 if layer == 0 else rounded_sum(0.0, gain * tangent[layer - 1, j])
                value = hidden * state[layer, j] + rounded_sum(bias, value)
                total = trained * value + (hidden * tangent[layer, j] + below)
                scale = np.sqrt(steepness / (1.0 + steepness * value))
                table[s, channels + layer, j] = scale
                arc, slope = error_function(value, scale * scale, amplitude)
                state[layer, j], tangent[layer, j] = arc + offset, slope * total
        for j in range(count):
            variances[s, j], tangents[s, j] = state[layers - 1, j], tangent[layers - 1, j]
        for j in range(count, n):
            variances[s, j], tangents[s, j] = 0.0, 0.0
            for k in range(table.shape[1]):
                table[s, k, j] = 0.0
