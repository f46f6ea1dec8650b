"""A sweep of probes over layers and positions, from a store, beside its matrix products and scikit-learn.

12 layers x 8 positions x 32 binary targets x 10 strengths. The full size is n 4000, d 768 (4.7 GB of
activations): `--n` and `--d` make it smaller, `--slices` fits that many of the 96 and extrapolates; what is
shown says so. "Products" is the Gram matrix and, for each strength, as many products with all targets as
steps were taken. Run it by hand: it takes minutes at full size.
"""

import argparse
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from undertext.activations import HookPoint
from undertext.activations.store import Store, StoreWriter
from undertext.probes import logistic_path

LAYERS, POSITIONS, TARGETS, STRENGTHS = 12, 8, 32, 10


def write(folder: Path, n: int, d: int, slices: int) -> torch.Tensor:
    """A store of correlated activations, as many slices as are fitted, and labels [n, target]."""
    generator = torch.Generator().manual_seed(0)
    layers, positions = -(-slices // POSITIONS), min(slices, POSITIONS)
    points = [HookPoint(layer, "resid_post") for layer in range(layers)]
    deviation = torch.arange(1, d + 1) ** -0.7
    turn = torch.linalg.qr(torch.randn(d, d, generator=generator))[0]
    hidden = torch.randn(n, d, generator=generator)
    scores = hidden @ torch.randn(d, TARGETS, generator=generator)
    with StoreWriter(folder, points, d) as writer:
        for position in range(positions):
            X = torch.randn(layers, n, d, generator=generator) + hidden
            rows = {"problem": [position * n + i for i in range(n)], "position": [position] * n}
            writer.append((X * deviation) @ turn, rows)
    return (scores / scores.std(0) * 2 + torch.randn(n, TARGETS, generator=generator) > 0).long()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=4000)
    parser.add_argument("--d", type=int, default=768)
    parser.add_argument("--slices", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(1)
    Cs = [10.0**power for power in np.linspace(-4, 1, STRENGTHS)]
    with tempfile.TemporaryDirectory() as folder:
        y = write(Path(folder) / "store", args.n, args.d, args.slices)
        store = Store.open(Path(folder) / "store")
        reading = fitting = products = 0.0
        steps = done = 0
        for point in store.points:
            for position in range(min(args.slices, POSITIONS)):
                if done == args.slices:
                    break
                done += 1
                start = perf_counter()
                X = store.select(points=[point], position=position).read()[0]
                reading += perf_counter() - start
                start = perf_counter()
                path = logistic_path(X, y, Cs)
                fitting += perf_counter() - start
                taken = sum(probe.n_iter_ for probe in path) + STRENGTHS
                steps += taken
                W, R = torch.ones(args.d, TARGETS), torch.ones(TARGETS, args.n)
                start = perf_counter()
                X.T @ X
                for _ in range(taken):
                    X @ W
                    R @ X
                products += perf_counter() - start
        Z = ((X - X.mean(0)) / X.std(0)).numpy()
        start = perf_counter()
        for C in (Cs[0], Cs[STRENGTHS // 2], Cs[-1]):
            LogisticRegression(C=C, max_iter=100_000).fit(Z, y[:, 0].numpy())
        peer = (perf_counter() - start) / 3 * TARGETS * STRENGTHS * done
    whole = LAYERS * POSITIONS / done
    print(f"{done} of 96 slices, n {args.n}, d {args.d}, {TARGETS} targets, {STRENGTHS} strengths")
    print("| | s | s for all 96 slices |\n|---|---|---|")
    for name, value in (
        ("reading from the store", reading),
        (f"fitting ({steps / done / STRENGTHS:.1f} products each way a strength)", fitting),
        ("matrix products alone", products),
        ("scikit-learn (extrapolated from 3 fits of the last slice)", peer),
    ):
        print(f"| {name} | {value:.2f} | {value * whole:.1f} |")


if __name__ == "__main__":
    main()
