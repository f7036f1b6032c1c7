"""Writes zonal_spectrum.json: eigenvalues on the sphere with 60 digits, by Gauss-Legendre in the angle with mpmath.

Kernels of unit vectors at the angle t: exp(-2 sin(t/2)) (Laplace, scale 1), and the ReLU NTK of depth 3 by
    S = cos t, T = S + b^2;  three times: T <- T k0(S) + k1(S) + b^2, S <- k1(S).
Run once: python tests/golden/make_zonal_spectrum.py
"""

import json
from pathlib import Path

import mpmath as mp
import numpy as np

NODES = 400
DEGREES = (0, 1, 2, 3, 4, 5, 6, 10, 20, 30, 50, 100, 150)
DIMENSIONS = (3, 5, 10, 50)


def nodes(n: int) -> list[tuple[mp.mpf, mp.mpf]]:
    pairs = []
    for start in np.polynomial.legendre.leggauss(n)[0]:
        x = mp.mpf(float(start))
        for step in range(3):
            previous, current = mp.mpf(1), x
            for k in range(1, n):
                previous, current = current, ((2 * k + 1) * x * current - k * previous) / (k + 1)
            slope = n * (previous - x * current) / (1 - x * x)
            x = x - current / slope if step < 2 else x
        pairs.append((x, 2 / ((1 - x * x) * slope**2)))
    return pairs


def ntk(theta: mp.mpf, bias: int) -> mp.mpf:
    s = mp.cos(theta)
    t = s + bias**2
    for _ in range(3):
        next_s = (s * (mp.pi - mp.acos(s)) + mp.sqrt(1 - s * s)) / mp.pi
        t = t * (1 - mp.acos(s) / mp.pi) + next_s + bias**2
        s = next_s
    return t


KERNELS = {
    "laplace_1": lambda theta: mp.exp(-2 * mp.sin(theta / 2)),
    "ntk_3_0": lambda theta: ntk(theta, 0),
    "ntk_3_1": lambda theta: ntk(theta, 1),
}


def eigenvalues(d: int, angles: list, weights: list, values: list) -> dict[str, str]:
    total = {k: mp.mpf(0) for k in DEGREES}
    for theta, weight, value in zip(angles, weights, values, strict=True):
        density = weight * value * mp.sin(theta) ** (d - 2) / mp.beta(mp.mpf(d - 1) / 2, mp.mpf(1) / 2)
        u = mp.cos(theta)
        previous, current = mp.mpf(1), u
        for k in range(max(DEGREES) + 1):
            if k in total:
                total[k] += density * previous
            k1 = k + 1
            previous, current = current, ((2 * k1 + d - 2) * u * current - k1 * previous) / (k1 + d - 2)
    return {str(k): mp.nstr(value, 17) for k, value in total.items()}


def main() -> None:
    mp.mp.dps = 60
    rule = nodes(NODES)
    angles = [mp.pi * (x + 1) / 2 for x, _ in rule]
    weights = [mp.pi * w / 2 for _, w in rule]
    values = {name: [kernel(theta) for theta in angles] for name, kernel in KERNELS.items()}
    result = {str(d): {name: eigenvalues(d, angles, weights, values[name]) for name in KERNELS} for d in DIMENSIONS}
    Path(__file__).with_name("zonal_spectrum.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
