"""Numba loops of convolutional networks: many pairs of images at once, one displacement of positions after the other.

A convolution moves both positions of a pair (p, p') alike, and an activation moves neither: the displacement p' - p
is the same behind every layer of stride 1, and a stride divides it. Each displacement of the output is therefore a
recursion of its own on images no larger than the overlap of the two, which fit in the first levels of the cache.
A register holds the same pair of positions of as many pairs of images as it has lanes. Flattening needs only the
displacement 0, global pooling the sum over all.

A pair of Gaussian units u, v at the angle t enters an activation as `near` = sin^2(t/2), or where that is above 1/2 as
-cos^2(t/2); see `_fused_dense` for the formulas. Covariances K are what the convolutions add up, and near comes from
(1 - K / (a b)) / 2, with a, b the roots of the own second moments. Where that has lost its digits, near is taken from

    near = mean_w [(a_w b_w) / (a b) near_w + (a_w / a - b_w / b)^2 / 4],     a^2 = mean_w a_w^2,

a sum of small terms without a difference of large ones: parallel patches stay parallel in single precision too.
The loops hold no lock and start no thread.
"""

import math

from numba import njit

from widenet.kernels._fused_lanes import (
    any_less,
    choose,
    constant,
    exact_product,
    load,
    polynomial,
    read,
    root,
    size,
    smaller,
    store,
    width,
)

_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_part = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"}, forceinline=True)

# arcsin(sqrt z) / sqrt z on [0, 1/2]: interpolants at Chebyshev nodes; the slope of ReLU is off by 6.4e-8 and 6e-17.
arc = polynomial(
    (
        1.00000008039303,
        0.1666509787329774,
        0.075490741717689,
        0.039013792142359796,
        0.06012427757898252,
        -0.053542483714448565,
        0.09990710559890058,
    ),
    (
        0.9999999999999999,
        0.166666666666762,
        0.07499999997954958,
        0.04464285887635292,
        0.03038186720347429,
        0.022374245713577247,
        0.01731559954431618,
        0.014425198539078435,
        0.007444628520337835,
        0.03675841815436629,
        -0.12408231204352452,
        0.4950065878219168,
        -1.3361380175788322,
        2.733327968715509,
        -3.974232006625551,
        3.9651660247789384,
        -2.4213345116985456,
        0.7052735073244606,
    ),
)

# (sin p - p cos p) / (pi z^(3/2)) with z = sin^2(p/2), likewise: z^(3/2) times it is off by 4.7e-8 and 2e-17.
fold = polynomial(
    (
        0.8488262807973919,
        0.08489443423547142,
        0.027015832808289977,
        0.01479186111920434,
        -0.0004576391462096126,
        0.014987088837068068,
    ),
    (
        0.8488263631567752,
        0.08488263631564939,
        0.02728370453541686,
        0.01263134428404986,
        0.00703337844369046,
        0.0043819416760071065,
        0.0029519281427413877,
        0.0020263446200959666,
        0.0020566310752102874,
        -0.001696027926351303,
        0.01295116886172863,
        -0.03626422946039703,
        0.08376094970953472,
        -0.1325222819716472,
        0.14471339063653973,
        -0.09565068859406703,
        0.03057346376752368,
    ),
)

NONE, HALF, WHOLE = 0, 1, 2  # an activation's kind: none; of angles up to pi/2; of any angle
CONVOLUTION, FIRST, ADDITION, NORMALISATION, OUTPUT, POOLING, POOLED = range(7)  # what a step is
# The integers of a step, then its reals; what they are stands in `conv_steps.Step`.
KIND, SOURCE, OTHER, TARGET, GRID, GRID_AFTER, ROWS, COLUMNS, STRIDE, STRIDE_COLUMNS, PAD, PAD_COLUMNS = range(12)
ACTIVATION, TRAINED, SIGNED, ROOTS, OTHER_ROOTS, INVERSES, CHANNELS, SITES, FAST = range(12, 21)
GAIN, ODD, EVEN, BIAS, OTHER_GAIN = range(5)


@_part
def whole(v):
    """Near of a signed near: cos^2 is kept with a minus."""
    return choose(v, constant(v, 0.0), constant(v, 1.0) + v, v)


@_part
def opposite(v):
    """Far, 1 - near, of a signed near."""
    zero = constant(v, 0.0)
    return choose(v, zero, zero - v, constant(v, 1.0) - v)


@_part
def signed(near, far):
    """The smaller of near and far; far with a minus, and never 0, as the sign tells the two apart."""
    far = choose(far, constant(far, 1e-30), constant(far, 1e-30), far)
    return choose(far, near, constant(far, 0.0) - far, near)


@_part
def numbers_of(work, reals):
    """What `after` asks for: 1, gain, odd, even, gain even 4 / pi in all lanes."""
    gain, odd, even = reals[GAIN], reals[ODD], reals[EVEN]
    return (
        constant(work, 1.0),
        constant(work, gain),
        constant(work, odd),
        constant(work, even),
        constant(work, gain * even * (4 / math.pi)),
    )


@_part
def after(v, activation, numbers):
    """Near after an activation phi(z) = sqrt(odd) z +- sqrt(even) |z|, and gain times its E[phi' phi']."""
    one, gain, odd, even, arcs = numbers
    if activation == HALF:
        s = root(v)
        return v * (one - s * fold(v, even)), gain - s * arc(v, arcs)
    if activation == WHOLE:
        zero, y = constant(v, 0.0), size(v)
        s = root(y)
        turn = s * arc(y, arcs)
        near = choose(v, zero, odd * (one - y), odd * y) + (even * y - y * s * fold(y, even))
        return near, choose(v, zero, gain * (odd - even) + turn, gain - turn)
    return whole(v), gain


@_part
def shifted(position, by, length):
    """The partner of a position along an axis, which goes on at its other end."""
    moved = position + by
    return moved - length if moved >= length else moved


@_loop
def _window_parts(work, tables, output, grid, step, scales):
    """Sums over a window of what near and far of an output are made of: the exact path of `_settled`."""
    x, y = tables
    row, column, near_at = output
    _, _, _, _, dr, dc, height, breadth, wrap = grid
    half, two, zero = constant(work, 0.5), constant(work, 2.0), constant(work, 0.0)
    near, far, lanes = zero, zero, width(work)
    for i in range(step[ROWS]):
        r = row * step[STRIDE] + i - step[PAD]
        s = r + dr
        if wrap:
            r, s = r % height, s % height
        for j in range(step[COLUMNS]):
            c = column * step[STRIDE_COLUMNS] + j - step[PAD_COLUMNS]
            d = c + dc
            if wrap:
                c, d = c % breadth, d % breadth
            in_x = r >= 0 and r < height and c >= 0 and c < breadth
            in_y = s >= 0 and s < height and d >= 0 and d < breadth
            for channel in range(step[CHANNELS]):
                table = step[ROOTS] + channel * height * breadth
                a = exact_product(read(x, table + r * breadth + c), scales[0]) if in_x else zero
                b = exact_product(read(y, table + s * breadth + d), scales[1]) if in_y else zero
                apart = half * ((a - b) * (a - b))
                near = near + apart
                if step[KIND] == FIRST:
                    far = far + half * ((a + b) * (a + b))
                else:
                    far = far + apart
                    if in_x and in_y:
                        v = load(work, near_at + (r * breadth + c) * lanes)
                        product = two * (a * b)
                        near, far = near + product * whole(v), far + product * opposite(v)
    return near, far


@_loop
def _settled(work, tables, output, grid, step, rounded):
    """Signed near of an output, from its parts where its correlation has lost it.

    Args:
        work: The workspace.
        tables: Tables of the images x and y.
        output: Row and column of the output, where the nears that it is made of stand, where it stands in the tables
            of x and of y, the near below which it is taken from its parts,
            and the variance of the biases.
        grid: Geometry of the inputs.
        step: Integers of the step.
        rounded: Near and far from the correlation.
    """
    half, beta = constant(work, 0.5), constant(work, math.sqrt(output[6]))
    exact_below = constant(work, output[5])
    scales = read(tables[0], step[INVERSES] + output[3]), read(tables[1], step[INVERSES] + output[4])
    near, far = _window_parts(work, tables, output[:3], grid, step, scales)
    a, b = exact_product(beta, scales[0]), exact_product(beta, scales[1])
    near, far = near + half * ((a - b) * (a - b)), far + half * ((a + b) * (a + b))
    near = choose(rounded[0], exact_below, near, rounded[0])
    far = choose(rounded[1], exact_below, far, rounded[1])
    if step[SIGNED]:
        return signed(near, far)
    return near


@_part
def _near(work, tables, output, grid, step, K):
    """Signed near of an output from its covariance."""
    half, tau = constant(work, 0.5), constant(work, output[5])
    inverse = read(tables[0], step[INVERSES] + output[3]) * read(tables[1], step[INVERSES] + output[4])
    correlation = K * inverse
    near = half - correlation
    if step[SIGNED]:
        far = half + correlation
        if any_less(smaller(near, far), tau):
            return _settled(work, tables, output, grid, step, (near, far))
        return signed(near, far)
    if any_less(near, tau):
        return _settled(work, tables, output, grid, step, (near, near))
    return near


@_part
def _pixels(work, tables, site, partner, step):
    """Covariance of two pixels: the product summed over the channels."""
    total = read(tables[0], step[ROOTS] + site) * read(tables[1], step[ROOTS] + partner)
    for channel in range(1, step[CHANNELS]):
        start = step[ROOTS] + channel * step[SITES]
        total = total + read(tables[0], start + site) * read(tables[1], start + partner)
    return total


@_loop
def inputs(work, scratch, tables, grid, step):
    """Covariances of the pixels."""
    r0, r1, c0, c1, dr, dc, height, breadth, _ = grid
    lanes = width(work)
    for r in range(r0, r1):
        s = shifted(r, dr, height)
        for c in range(c0, c1):
            site, partner = r * breadth + c, s * breadth + shifted(c, dc, breadth)
            store(work, scratch[0] + site * lanes, _pixels(work, tables, site, partner, step))


@_loop
def activated(work, places, tables, grid, step, mode):
    """Covariance, its sum with the tangent where the next weights are trained, and near after an activation."""
    scratch, source, _ = places
    reals, _, tangent = mode
    r0, r1, c0, c1, dr, dc, height, breadth, _ = grid
    lanes, numbers = width(work), numbers_of(work, reals)
    trained, one, two = constant(work, float(step[TRAINED])), numbers[0], constant(work, 2.0)
    roots, activation = step[ROOTS], step[ACTIVATION]
    for r in range(r0, r1):
        partner = roots + shifted(r, dr, height) * breadth
        for c in range(c0, c1):
            site = r * breadth + c
            v = load(work, source[0] + site * lanes)
            near, slope = after(v, activation, numbers)
            product = read(tables[0], roots + site) * read(tables[1], partner + shifted(c, dc, breadth))
            k = product * (one - two * near)
            store(work, scratch[0] + site * lanes, k)
            if tangent:
                store(work, scratch[1] + site * lanes, load(work, source[1] + site * lanes) * slope + trained * k)
            store(work, scratch[2] + site * lanes, v if activation == NONE else near)


@_loop
def gathered(work, places, tables, grids, step, mode):
    """Sums over the windows of a convolution of any size, stride and padding."""
    scratch, _, target = places
    reals, exact_below, tangent = mode
    r0, r1, c0, c1, _, _, height, breadth, wrap = grids[0]
    q0, q1, e0, e1, dq, de, rows, columns, _ = grids[1]
    lanes, first = width(work), step[KIND] == FIRST
    trained, bias = constant(work, float(step[TRAINED])), constant(work, reals[BIAS])
    for q in range(q0, q1):
        partner = shifted(q, dq, rows) * columns
        for e in range(e0, e1):
            K, T = bias, trained * bias
            for i in range(step[ROWS]):
                r = q * step[STRIDE] + i - step[PAD]
                r = r % height if wrap else r
                if r < r0 or r >= r1:
                    continue
                for j in range(step[COLUMNS]):
                    c = e * step[STRIDE_COLUMNS] + j - step[PAD_COLUMNS]
                    c = c % breadth if wrap else c
                    if c < c0 or c >= c1:
                        continue
                    at = (r * breadth + c) * lanes
                    K = K + load(work, scratch[0] + at)
                    if tangent and not first:
                        T = T + load(work, scratch[1] + at)
            site = q * columns + e
            output = q, e, scratch[2], site, partner + shifted(e, de, columns), exact_below, reals[BIAS]
            store(work, target[0] + site * lanes, _near(work, tables, output, grids[0], step, K))
            store(work, target[1] + site * lanes, trained * K if first else T)


@_loop
def convolved(work, places, tables, grid, step, mode):
    """The same for the filter 3 x 3 of stride 1 with zeros around, in one pass: sums of columns stay in registers.

    Of the sums of three columns three rows are kept; an output is the sum of these.
    """
    scratch, source, target = places
    reals, exact_below, tangent = mode
    r0, r1, c0, c1, dr, dc, _, breadth, _ = grid
    lanes, numbers = width(work), numbers_of(work, reals)
    trained, bias = constant(work, float(step[TRAINED])), constant(work, reals[BIAS])
    one, two, zero = numbers[0], constant(work, 2.0), constant(work, 0.0)
    roots, activation, first = step[ROOTS], step[ACTIVATION], step[KIND] == FIRST
    # One register between the rows: the sum around column -1 is written there before it is complete.
    line = (breadth + 1) * lanes
    for r in range(r0, r1 + 1):
        low, middle, top = (r % 3) * line, ((r + 2) % 3) * line, ((r + 1) % 3) * line
        low_k, low_g = scratch[0] + low, scratch[1] + low
        if r < r1 and first:
            k0, k1 = zero, zero
            for c in range(c0, c1):
                site = r * breadth + c
                k = _pixels(work, tables, site, site + dr * breadth + dc, step)
                store(work, low_k + (c - 1) * lanes, k0 + (k1 + k))
                k0, k1 = k1, k
            store(work, low_k + (c1 - 1) * lanes, k0 + k1)
        elif r < r1:
            k0, k1, g0, g1 = zero, zero, zero, zero
            for c in range(c0, c1):
                site = r * breadth + c
                v = load(work, source[0] + site * lanes)
                near, slope = after(v, activation, numbers)
                store(work, scratch[2] + site * lanes, v if activation == NONE else near)
                product = read(tables[0], roots + site) * read(tables[1], roots + site + dr * breadth + dc)
                k = product * (one - two * near)
                store(work, low_k + (c - 1) * lanes, k0 + (k1 + k))
                k0, k1 = k1, k
                if tangent:
                    g = load(work, source[1] + site * lanes) * slope + trained * k
                    store(work, low_g + (c - 1) * lanes, g0 + (g1 + g))
                    g0, g1 = g1, g
            store(work, low_k + (c1 - 1) * lanes, k0 + k1)
            store(work, low_g + (c1 - 1) * lanes, g0 + g1)
        if r in (r0, r1):
            empty = low if r == r1 else middle
            for c in range(c0 * lanes, c1 * lanes, lanes):
                store(work, scratch[0] + empty + c, zero)
                store(work, scratch[1] + empty + c, zero)
        if r == r0:
            continue
        for e in range(c0, c1):
            i, site = e * lanes, (r - 1) * breadth + e
            K = load(work, scratch[0] + top + i) + load(work, scratch[0] + middle + i) + load(work, low_k + i) + bias
            output = r - 1, e, scratch[2], site, site + dr * breadth + dc, exact_below, reals[BIAS]
            store(work, target[0] + site * lanes, _near(work, tables, output, grid, step, K))
            if first:
                store(work, target[1] + site * lanes, trained * K)
            elif tangent:
                T = load(work, scratch[1] + top + i) + load(work, scratch[1] + middle + i) + load(work, low_g + i)
                store(work, target[1] + site * lanes, T + trained * bias)
