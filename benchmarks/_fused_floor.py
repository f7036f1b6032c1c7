"""The least that a layer of a convolutional kernel costs: its arithmetic and its memory, without its logic."""

from numba import njit

from widenet.kernels._fused_lanes import constant, load, memory, root, store, width


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
def arithmetic(states, out, rounds):
    """For every register 22 products or fused multiply-adds, 12 sums and a root; 8 loads and 4 stores."""
    data, result = memory(states), memory(out)
    count, part = width(data), states.shape[0] // 8
    a, b = constant(data, 0.5), constant(data, 0.25)
    for _ in range(rounds):
        for i in range(0, part, count):
            x = load(data, i)
            s = root(x)
            p, q = x * a, x * b
            for _ in range(5):
                p, q = p * x + a, q * x + b
            p, q = p * s + a, q * s + b
            k = load(data, part + i) * p * q
            g = load(data, 2 * part + i) * q + a * k
            k0 = k + load(data, 3 * part + i) + load(data, 4 * part + i) + a + b
            g0 = g + load(data, 5 * part + i) + load(data, 6 * part + i) + a + b
            k0 = k0 * load(data, 7 * part + i)
            v = a - k0 * p
            store(result, i, v + s + b)
            store(result, part + i, g0 + k0 + p)
            store(result, 2 * part + i, k * a)
            store(result, 3 * part + i, g * b)


@njit(nogil=True, cache=True, error_model="numpy")
def traffic(states, out, rounds):
    """For every register 8 loads and 4 stores, and a sum each."""
    data, result = memory(states), memory(out)
    count, part = width(data), states.shape[0] // 8
    for _ in range(rounds):
        for i in range(0, part, count):
            for k in range(4):
                both = load(data, 2 * k * part + i) + load(data, (2 * k + 1) * part + i)
                store(result, k * part + i, both)
