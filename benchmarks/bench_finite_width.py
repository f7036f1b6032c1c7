"""How the tangent kernels of finite networks approach their limits: the slope over the width for every layer.

Prints, for each network of `widenet.experiments.layer_networks` and both ways to draw weights, the mean relative
distance |K_n - K| / |K| (Frobenius) of single networks at every width n, that of the kernel averaged over the seeds
at the largest width, and the slope of log distance over log n with its standard error; -1/2 is the law.

    python benchmarks/bench_finite_width.py [names of networks]
"""

import sys
import time

import numpy as np
from _timing import save

from widenet.experiments.layer_networks import layer_networks
from widenet.networks import kernel_convergence

WIDTHS, SEEDS = (32, 64, 128, 256, 512), 24


def main(names: list[str]) -> int:
    """Print the table, write the results, and say how many slopes are how far from -1/2."""
    networks = layer_networks()
    print(f"{SEEDS} networks a width\n")
    columns = [*(f"n = {width}" for width in WIDTHS), f"mean of {SEEDS}, n = {WIDTHS[-1]}", "slope", "error", "s"]
    print(f"| network | weights | {' | '.join(columns)} |\n|---|---|{'---:|' * len(columns)}")
    results, deviations, ratios = {}, [], []
    for name in names or networks:
        case = networks[name]
        for init in ("gaussian", "orthogonal"):
            start = time.perf_counter()
            found = kernel_convergence(case.architecture, case.points(), WIDTHS, SEEDS, init)
            seconds = time.perf_counter() - start
            distances = " | ".join(f"{distance:.3f}" for distance in found.distances)
            slope = f"{found.slope:.3f} | {found.slope_error:.3f} | {seconds:.1f}"
            print(f"| {name} | {init} | {distances} | {found.of_means[-1]:.3f} | {slope} |", flush=True)
            results[f"{name}, {init}"] = {
                "distances": dict(zip(map(str, WIDTHS), found.distances.tolist(), strict=True)),
                "distance of the mean": float(found.of_means[-1]),
                "slope": found.slope,
                "slope error": found.slope_error,
            }
            deviations.append(abs(found.slope + 0.5) / found.slope_error)
            ratios.append(found.of_means[-1] / found.distances[-1])
    slopes = np.array([result["slope"] for result in results.values()])
    print(f"\nslopes: mean {slopes.mean():.3f}, from {slopes.min():.3f} to {slopes.max():.3f}")
    print(f"|slope + 1/2| / error: rms {np.sqrt(np.mean(np.square(deviations))):.2f}, largest {max(deviations):.1f}")
    print(f"distance of the mean over that of one: {np.mean(ratios):.2f}; 1 / sqrt({SEEDS}) is {SEEDS**-0.5:.2f}")
    if not names:
        save("finite_width", results)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
