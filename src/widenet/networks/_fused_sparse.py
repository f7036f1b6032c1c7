"""Numba loops of training threshold units: only pairs of unit and sample that can be active are looked at.

Parameters (w, b) of a unit are a row, samples are rows (x, -1), so that their product is w . x - b; both are padded
with zeros to whole registers. Every unit has a list of candidates: the samples whose product is above minus a reach
times their norm when the list is made. Another sample cannot be active before the unit has moved by its reach. The
active candidates come first in the list: with them the unit moves in the next step.

The loops hold no lock and start no thread.
"""

import math

import numpy as np
from numba import njit

_loop = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
_inline = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"}, inline="always")

_FIRST_LEAD, _LEADS = 1.5, 7  # a list may last for 1.5, 3, 6, ... steps like the last one
GUARD = 64  # roundings of a product: candidates are taken from so much further than the reach
_RENEWAL = 0.5  # looks at a candidate that a product and a choice of a list cost for each sample, measured


@_loop
def _weighted_sum(samples, chosen, count, factors, total):
    """Write the sum of factor_i sample_i over the chosen samples to the total."""
    zero = total.dtype.type(0)
    for k in range(total.shape[0]):
        total[k] = zero
    pairs = count - count % 2
    for c in range(0, pairs, 2):
        i, j = chosen[c], chosen[c + 1]
        a, b, x, y = factors[i], factors[j], samples[i], samples[j]
        for k in range(total.shape[0]):
            total[k] += a * x[k] + b * y[k]
    if pairs < count:
        i = chosen[pairs]
        a, x = factors[i], samples[i]
        for k in range(total.shape[0]):
            total[k] += a * x[k]


@_inline
def _keep(candidates, place, i, value, sign, found, sums):  # noqa: PLR0913, PLR0917 (nothing is passed: it is inlined)
    """Swap a candidate to the active ones in front if its value is positive, without a branch; returns their number."""
    active = value > 0  # as torch has it, a unit at its kink is not active
    candidates[place] = i
    other = candidates[found]
    candidates[found] = i if active else other
    candidates[place] = other if active else i
    sums[i] += sign * (value if active else value * 0)
    return found + np.int64(active)


@_loop
def _look(unit, samples, candidates, count, sign, sums):
    """Bring the active candidates to the front and add sign times their values to the sums; returns their number."""
    zero = unit.dtype.type(0)
    found = np.int64(0)
    fours = count - count % 4
    for c in range(0, fours, 4):
        i0, i1, i2, i3 = candidates[c], candidates[c + 1], candidates[c + 2], candidates[c + 3]
        x0, x1, x2, x3 = samples[i0], samples[i1], samples[i2], samples[i3]
        s0, s1, s2, s3 = zero, zero, zero, zero
        for k in range(unit.shape[0]):
            u = unit[k]
            s0 += u * x0[k]
            s1 += u * x1[k]
            s2 += u * x2[k]
            s3 += u * x3[k]
        found = _keep(candidates, c, i0, s0, sign, found, sums)
        found = _keep(candidates, c + 1, i1, s1, sign, found, sums)
        found = _keep(candidates, c + 2, i2, s2, sign, found, sums)
        found = _keep(candidates, c + 3, i3, s3, sign, found, sums)
    for c in range(fours, count):
        i = candidates[c]
        x, s = samples[i], zero
        for k in range(unit.shape[0]):
            s += unit[k] * x[k]
        found = _keep(candidates, c, i, s, sign, found, sums)
    return found


@_loop
def advance(units, samples, factors, pairs, lengths, sums):
    """Move units by their active samples, then find which of their candidates are active now.

    Units without active samples stay where they are. One that has moved by its reach is marked by a count of -1 active
    samples and adds nothing to the sums: its candidates have to be found anew.

    Args:
        units: Parameters, (units, p), and their signs +-1, (units,).
        samples: (samples, p).
        factors: -step times residual, for units of sign + and -, (2, samples).
        pairs: Candidates of each unit, the active ones first, (units, capacity), their numbers, and the numbers of
            active ones, (units,) each.
        lengths: How far each unit has moved since its candidates were found, its reach, its last movement, and what
            rounding may add to a movement, (units,) each.
        sums: Sums over units of sign times value, (samples,), to be added to.

    Returns:
        Products of unit and sample, and units marked.
    """
    parameters, signs = units
    candidates, counts, active_counts = pairs
    moved, reach, last, rounding = lengths
    total = np.empty(parameters.shape[1], parameters.dtype)
    products, marked = 0, 0
    for r in range(parameters.shape[0]):
        count = active_counts[r]
        if count <= 0:
            continue
        unit = parameters[r]
        _weighted_sum(samples, candidates[r], count, factors[0] if signs[r] > 0 else factors[1], total)
        squares = unit.dtype.type(0)
        for k in range(unit.shape[0]):
            squares += total[k] * total[k]
            unit[k] += total[k]
        last[r] = math.sqrt(squares)
        moved[r] += last[r] + rounding[r]
        products += count
        if moved[r] < reach[r]:
            products += counts[r]
            active_counts[r] = _look(unit, samples, candidates[r], counts[r], signs[r], sums)
        else:
            active_counts[r] = -1
            marked += 1
    return products, marked


@_loop
def tangent_product(units, samples, vectors, pairs, sums):
    """Add J J^T vector for the units' parameters to the sums: what one step with these factors would change.

    Args:
        units: As for `advance`.
        samples: As for `advance`.
        vectors: The vector and its opposite, (2, samples).
        pairs: As for `advance`.
        sums: (samples,), to be added to.
    """
    signs = units[1]
    total = np.empty(samples.shape[1], samples.dtype)
    for r in range(signs.shape[0]):
        active, count = pairs[0][r], pairs[2][r]
        _weighted_sum(samples, active, count, vectors[0] if signs[r] > 0 else vectors[1], total)
        for c in range(count):
            x, s = samples[active[c]], samples.dtype.type(0)
            for k in range(x.shape[0]):
                s += total[k] * x[k]
            sums[active[c]] += signs[r] * s


@_loop
def choose_reach(values, units, norms, lasts, found):
    """Reach of every list that makes looking at its candidates and making it anew cost least, and its length.

    With a reach of k times the last movement a list lasts for k steps like the last one, longer when steps get shorter.

    Args:
        values: Products with all samples, (rows, samples).
        units: Parameters of these units, (rows, p).
        norms: Of the samples, (samples,).
        lasts: Last movement of each unit, (rows,).
        found: Where reaches go, what rounding may add to a movement, and numbers of candidates, (rows,) each.
    """
    reach, rounding, counts = found
    n = values.shape[1]
    for a in range(values.shape[0]):
        row, squares = values[a], 0.0
        for k in range(units.shape[1]):
            squares += units[a, k] * units[a, k]
        rounding[a] = np.finfo(row.dtype).eps * math.sqrt(squares)
        least, lead = np.inf, 0.0
        for number in range(_LEADS if lasts[a] > 0 else 1):
            border = -row.dtype.type(lead * lasts[a] + GUARD * rounding[a])
            count = np.int32(0)
            for i in range(n):
                count += np.int32(row[i] >= border * norms[i])
            cost = count + _RENEWAL * n / max(lead, 1.0)
            if cost < least:
                least, reach[a], counts[a] = cost, lead * lasts[a], count
            if count > least:
                break
            lead = _FIRST_LEAD * 2.0**number


@_loop
def make_lists(chosen, values, borders, signs, pairs, sums):
    """Lists of candidates of chosen units from their products with all samples.

    Args:
        chosen: The units, (rows,).
        values: Products with all samples, (rows, samples).
        borders: How far below 0 candidates may be, over their norm, (rows,), and the norms, (samples,).
        signs: Of all units.
        pairs: As for `advance`.
        sums: As for `advance`.
    """
    reach, norms = borders
    candidates, counts, active_counts = pairs
    for a in range(chosen.shape[0]):
        r = chosen[a]
        near, found = 0, np.int64(0)
        row, close = values[a], candidates[r]
        border = -row.dtype.type(reach[a])
        for i in range(row.shape[0]):
            if row[i] >= border * norms[i]:
                found = _keep(close, near, i, row[i], signs[r], found, sums)
                near += 1
        counts[r], active_counts[r] = near, found


@_loop
def listed(candidates, active_counts):
    """The active samples of all units, one after the other."""
    found = np.empty(active_counts.sum(), np.int32)
    place = 0
    for r in range(candidates.shape[0]):
        for c in range(active_counts[r]):
            found[place] = candidates[r, c]
            place += 1
    return found
