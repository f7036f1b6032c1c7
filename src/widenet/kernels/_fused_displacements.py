"""Numba loops that run the steps of a convolutional network over all displacements, for tiles of pairs of images.

See `_fused_conv` for what a displacement is. Between two poolings the network is a chain of steps on each displacement;
a pooling mixes displacements, and adds up all pairs of positions of what follows it.
The loops hold no lock and start no thread. Numba's cache on disk is renewed with the file of the function that Python
calls, which is this one: touch it after changes in the files that it imports.
"""

from numba import njit

from widenet.kernels._fused_conv import (
    ACTIVATION,
    ADDITION,
    COLUMNS,
    CONVOLUTION,
    FAST,
    FIRST,
    GAIN,
    GRID,
    GRID_AFTER,
    INVERSES,
    KIND,
    NORMALISATION,
    OTHER,
    OTHER_GAIN,
    OTHER_ROOTS,
    OUTPUT,
    PAD,
    PAD_COLUMNS,
    POOLED,
    POOLING,
    ROOTS,
    ROWS,
    SIGNED,
    SOURCE,
    STRIDE,
    STRIDE_COLUMNS,
    TARGET,
    activated,
    after,
    convolved,
    gathered,
    inputs,
    numbers_of,
    opposite,
    shifted,
    signed,
    whole,
)
from widenet.kernels._fused_lanes import (
    any_less,
    choose,
    constant,
    exact_product,
    load,
    memory,
    read,
    smaller,
    store,
    width,
)

_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})
_SAME = 1e-15  # near of pooled positions below this is rounding: the positions are the same


@_loop
def _geometry(grids, number, displacement, wrap):
    """Rows and columns of x whose partner lies in y, the displacement itself, the size, and whether it wraps around."""
    height, breadth = grids[number, 0], grids[number, 1]
    dr, dc = displacement[0] * grids[number, 2], displacement[1] * grids[number, 3]
    if wrap:
        return 0, height, 0, breadth, dr, dc, height, breadth, True
    r0, r1, c0, c1 = max(0, -dr), min(height, height - dr), max(0, -dc), min(breadth, breadth - dc)
    return r0, r1, c0, c1, dr, dc, height, breadth, False


@_loop
def _added(work, places, tables, grid, step, mode):
    """Sum of two states with independent weights."""
    source, other, target = places
    x, y = tables
    reals, exact_below, tangent = mode
    r0, r1, c0, c1, dr, dc, height, breadth, _ = grid
    lanes, half, one, two = width(work), constant(work, 0.5), constant(work, 1.0), constant(work, 2.0)
    tau, gain, other_gain = constant(work, exact_below), constant(work, reals[GAIN]), constant(work, reals[OTHER_GAIN])
    for r in range(r0, r1):
        s = shifted(r, dr, height)
        for c in range(c0, c1):
            site, partner = r * breadth + c, s * breadth + shifted(c, dc, breadth)
            v, w = load(work, source[0] + site * lanes), load(work, other[0] + site * lanes)
            a, b = read(x, step[ROOTS] + site), read(y, step[ROOTS] + partner)
            p, q = read(x, step[OTHER_ROOTS] + site), read(y, step[OTHER_ROOTS] + partner)
            of_x, of_y = read(x, step[INVERSES] + site), read(y, step[INVERSES] + partner)
            near_v, near_w = whole(v), whole(w)
            correlation = (a * b * (one - two * near_v) + p * q * (one - two * near_w)) * (of_x * of_y)
            near, far = half - correlation, half + correlation
            if any_less(smaller(near, far), tau):
                # As in `_fused_conv`: small parts, no difference of large ones.
                a, b = exact_product(a, of_x), exact_product(b, of_y)
                p, q = exact_product(p, of_x), exact_product(q, of_y)
                apart = half * ((a - b) * (a - b) + (p - q) * (p - q))
                near = choose(near, tau, two * (a * b * near_v + p * q * near_w) + apart, near)
                far = choose(far, tau, two * (a * b * opposite(v) + p * q * opposite(w)) + apart, far)
            if tangent:
                T = load(work, source[1] + site * lanes) * gain + load(work, other[1] + site * lanes) * other_gain
                store(work, target[1] + site * lanes, T)
            store(work, target[0] + site * lanes, signed(near, far))


@_loop
def _normalised(work, places, tables, grid, step):
    """Layer normalisation: near is what it is, and the tangent is divided by the size."""
    source, target = places
    r0, r1, c0, c1, dr, dc, height, breadth, _ = grid
    lanes, two = width(work), constant(work, 2.0)
    for r in range(r0, r1):
        s = shifted(r, dr, height)
        for c in range(c0, c1):
            site, partner = r * breadth + c, s * breadth + shifted(c, dc, breadth)
            scale = two * (read(tables[0], step[INVERSES] + site) * read(tables[1], step[INVERSES] + partner))
            store(work, target[0] + site * lanes, load(work, source[0] + site * lanes))
            store(work, target[1] + site * lanes, load(work, source[1] + site * lanes) * scale)


@_loop
def _summed(work, places, tables, grid, step, mode):
    """Sums over all positions of covariance, tangent and near, to the scratch."""
    scratch, source = places
    x, y = tables
    reals, tangent = mode
    r0, r1, c0, c1, dr, dc, height, breadth, _ = grid
    lanes, numbers = width(work), numbers_of(work, reals)
    one, two, half = numbers[0], constant(work, 2.0), constant(work, 0.5)
    K, T, N = constant(work, 0.0), constant(work, 0.0), constant(work, 0.0)
    roots, activation, flat = step[ROOTS], step[ACTIVATION], step[SIGNED]
    for r in range(r0, r1):
        partner = roots + shifted(r, dr, height) * breadth
        for c in range(c0, c1):
            site = r * breadth + c
            near, slope = after(load(work, source[0] + site * lanes), activation, numbers)
            a, b = read(x, roots + site), read(y, partner + shifted(c, dc, breadth))
            K = K + a * b * (one - two * near)
            if tangent:
                T = T + load(work, source[1] + site * lanes) * slope
            if flat:
                a, b = exact_product(a, read(x, step[INVERSES])), exact_product(b, read(y, step[INVERSES]))
                N = N + (two * (a * b) * near + half * ((a - b) * (a - b)))
    store(work, scratch[0], K)
    store(work, scratch[0] + lanes, T)
    store(work, scratch[0] + 2 * lanes, N)


@_loop
def _windows_over(position, length, stride, pad, count):
    """First and last window, not included, that hold a position."""
    return max(0, -((length - 1 - pad - position) // stride)), min(count, (position + pad) // stride + 1)


@_loop
def _pool(memories, places, tables, grids, step, mode):
    """Add every pair of positions of a displacement to the pairs of windows that hold it."""
    work, pools = memories
    source, into = places
    reals, tangent, starts = mode
    r0, r1, c0, c1, dr, dc, height, breadth, wrap = grids[0]
    rows, columns = grids[1]
    lanes, numbers = width(work), numbers_of(work, reals)
    one, two = numbers[0], constant(work, 2.0)
    for r in range(r0, r1):
        s = shifted(r, dr, height)
        over_r = _windows_over(r, step[ROWS], step[STRIDE], step[PAD], rows)
        over_s = _windows_over(s, step[ROWS], step[STRIDE], step[PAD], rows)
        for c in range(c0, c1):
            d, site = shifted(c, dc, breadth), r * breadth + c
            over_c = _windows_over(c, step[COLUMNS], step[STRIDE_COLUMNS], step[PAD_COLUMNS], columns)
            over_d = _windows_over(d, step[COLUMNS], step[STRIDE_COLUMNS], step[PAD_COLUMNS], columns)
            near, slope = after(load(work, source[0] + site * lanes), step[ACTIVATION], numbers)
            product = read(tables[0], step[ROOTS] + site) * read(tables[1], step[ROOTS] + s * breadth + d)
            k, t = product * (one - two * near), constant(work, 0.0)
            if tangent:
                t = load(work, source[1] + site * lanes) * slope
            for q in range(over_r[0], over_r[1]):
                for p in range(over_s[0], over_s[1]):
                    down = (p - q) % rows if wrap else p - q
                    for e in range(over_c[0], over_c[1]):
                        for f in range(over_d[0], over_d[1]):
                            right = (f - e) % columns if wrap else f - e
                            across = columns if wrap else columns - abs(right)
                            at = starts[step[GRID_AFTER], (down + rows - 1) * (2 * columns - 1) + right + columns - 1]
                            at += (q - max(0, -down)) * across + e - max(0, -right)
                            for value, start in ((k, into[0]), (t, into[1])):
                                store(pools, start + at * lanes, load(pools, start + at * lanes) + value)


@_loop
def _from_pool(memories, places, tables, grid, step):
    """Near and tangent of one displacement of pooled positions."""
    work, pools = memories
    target, origin = places
    r0, r1, c0, c1, dr, dc, height, breadth, _ = grid
    lanes, half, zero, same = width(work), constant(work, 0.5), constant(work, 0.0), constant(work, _SAME)
    for r in range(r0, r1):
        s = shifted(r, dr, height)
        for c in range(c0, c1):
            site, partner = r * breadth + c, s * breadth + shifted(c, dc, breadth)
            at = ((r - r0) * (c1 - c0) + c - c0) * lanes
            inverse = read(tables[0], step[INVERSES] + site) * read(tables[1], step[INVERSES] + partner)
            correlation = load(pools, origin[0] + at) * inverse
            near, far = half - correlation, half + correlation
            store(work, target[0] + site * lanes, signed(choose(near, same, zero, near), far))
            store(work, target[1] + site * lanes, load(pools, origin[1] + at))


@_loop
def _slot(sites, slot, lanes):
    """Where near and tangent of a slot stand in the workspace, behind the scratch."""
    start = (3 + 2 * slot) * sites * lanes
    return start, start + sites * lanes


@_loop
def _step_of(steps, k):
    """The integers of a step as a tuple, whose reading costs nothing."""
    s = steps
    first = s[k, 0], s[k, 1], s[k, 2], s[k, 3], s[k, 4], s[k, 5], s[k, 6], s[k, 7], s[k, 8], s[k, 9]
    second = s[k, 10], s[k, 11], s[k, 12], s[k, 13], s[k, 14], s[k, 15], s[k, 16], s[k, 17], s[k, 18], s[k, 19]
    return (*first, *second, s[k, 20])


@_loop
def _run_steps(buffers, pools, tables, program, at, out):
    """The steps of one segment on one displacement."""
    steps, all_reals, grids, starts, pool_starts, settings, exact_below = program
    begin, end, down, right = at
    wrap, tangent, sites = settings[0] != 0, settings[1] != 0, settings[2]
    work = memory(buffers)
    lanes = width(work)
    # One register before the rows of sums of `convolved`.
    scratch = lanes, (sites + 1) * lanes, (2 * sites + 1) * lanes
    for k in range(begin, end):
        step = _step_of(steps, k)
        reals = all_reals[k, 0], all_reals[k, 1], all_reals[k, 2], all_reals[k, 3], all_reals[k, 4]
        kind = step[KIND]
        grid = _geometry(grids, step[GRID], (down, right), wrap)
        source, other = _slot(sites, step[SOURCE], lanes), _slot(sites, step[OTHER], lanes)
        target = _slot(sites, step[TARGET], lanes)
        places, mode = (scratch, source, target), (reals, exact_below, tangent)
        if kind in (CONVOLUTION, FIRST) and step[FAST] != 0:
            convolved(work, places, tables, grid, step, mode)
        elif kind in (CONVOLUTION, FIRST):
            if kind == FIRST:
                inputs(work, scratch, tables, grid, step)
            else:
                activated(work, places, tables, grid, step, mode)
            behind = _geometry(grids, step[GRID_AFTER], (down, right), wrap)
            gathered(work, places, tables, (grid, behind), step, mode)
        elif kind == ADDITION:
            _added(work, (source, other, target), tables, grid, step, mode)
        elif kind == NORMALISATION:
            _normalised(work, (source, target), tables, grid, step)
        elif kind == OUTPUT:
            _summed(work, (scratch, source), tables, grid, step, (reals, tangent))
            for part in range(3):
                for lane in range(lanes):
                    out[part, lane] += buffers[scratch[0] + part * lanes + lane]
        if pools is not None:
            memories = work, memory(pools)
            if kind == POOLING:
                into = pool_starts[step[TARGET]], pool_starts[step[TARGET] + 1]
                size = grids[step[GRID_AFTER], 0], grids[step[GRID_AFTER], 1]
                _pool(memories, (source, into), tables, (grid, size), step, (reals, tangent, starts))
            elif kind == POOLED:
                number = (grid[4] + grid[6] - 1) * (2 * grid[7] - 1) + grid[5] + grid[7] - 1
                start = starts[step[GRID], number] * lanes
                origin = pool_starts[step[SOURCE]] + start, pool_starts[step[SOURCE] + 1] + start
                _from_pool(memories, (target, origin), tables, grid, step)


@_loop
def run_segments(buffers, pools, tables, program, segments, out):
    """Every segment of a network over its displacements, for one register of pairs of images.

    Args:
        buffers: Workspace.
        pools: Pools, or None; then the steps have none.
        tables: Those of the first images, (numbers, lanes), or (numbers,) for one image in all lanes; those of the
            second ones, (numbers, lanes).
        program: What `conv_numbers.Numbers` holds, and the near below which it is taken from its parts.
        segments: (segments, 6): steps from, to, last grid, pool to clear or -1, largest displacements.
        out: (3, lanes): sums of covariance, tangent and near at the output are added.
    """
    _, _, grids, _, pool_starts, settings, _ = program
    wrap = settings[0] != 0
    bare = memory(tables[0]), memory(tables[1])
    for index in range(segments.shape[0]):
        begin, end, last, cleared = segments[index, 0], segments[index, 1], segments[index, 2], segments[index, 3]
        reach_down, reach_right = segments[index, 4], segments[index, 5]
        height, breadth = grids[last, 0], grids[last, 1]
        if pools is not None:  # noqa: SIM102 (Numba leaves the branch out only where None alone is asked for)
            if cleared >= 0:
                start = pool_starts[cleared]
                pools[start : start + 2 * settings[3] * out.shape[1]] = 0.0
        for down in range(0 if wrap else 1 - height, height):
            if min(abs(down), height - down if wrap else height) > reach_down:
                continue
            for right in range(0 if wrap else 1 - breadth, breadth):
                if min(abs(right), breadth - right if wrap else breadth) <= reach_right:
                    _run_steps(buffers, pools, bare, program, (begin, end, down, right), out)


@_loop
def pack(tables, which, packed):
    """Bring the tables of some images side by side: one row of lanes for each number; missing images are the last."""
    for lane in range(packed.shape[1]):
        table = tables[which[min(lane, which.shape[0] - 1)]]
        for row in range(packed.shape[0]):
            packed[row, lane] = table[row]


@_loop
def _copied(packed, lane, into):
    """Overwrite the tables of one lane by those of another."""
    for row in range(packed.shape[0]):
        packed[row, into] = packed[row, lane]


@_loop
def run_rows(spaces, tables, program, segments, own, out):
    """`run_segments` for images each with one register of others.

    An image beside itself would take the whole register through the branch of near pairs, at three times the price: in
    its place stands its neighbour, and what comes out is for the caller to overwrite.

    Args:
        spaces: Workspace and pools as there.
        tables: Those of the images, (n, numbers), and of the others, (numbers, lanes).
        program: As there.
        segments: As there.
        own: Lane of the first image itself; the next ones follow it. Lanes that the register does not have mean none.
        out: (n, 3, lanes).
    """
    buffers, pools = spaces
    others = tables[1]
    lanes = others.shape[1]
    kept = others[:, 0].copy()
    for i in range(tables[0].shape[0]):
        lane = own + i
        if 0 <= lane < lanes:
            kept[:] = others[:, lane]
            _copied(others, lane - 1 if lane > 0 else lanes - 1, lane)
        run_segments(buffers, pools, (tables[0][i], others), program, segments, out[i])
        if 0 <= lane < lanes:
            others[:, lane] = kept
