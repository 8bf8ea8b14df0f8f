"""Train the classifier of digits in whose features generated digits are measured.

    python -m benchmarks.train_classifier --data FOLDER --out FILE

FOLDER holds the four files of MNIST, or is the name of a set (mnist, digits). FILE gets the weights as safetensors; the
script prints the accuracy on the test images and the sha256 by which minigen/models/classifier.py knows its file.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from pathlib import Path

import numpy as np

import minigen
from minigen import backend, datasets, ops, optim
from minigen.errors import DataError, MinigenError
from minigen.models.classifier import DigitClassifier


def shifted(images: np.ndarray, rng: np.random.Generator, reach: int = 2) -> np.ndarray:
    """Each image moved by up to `reach` pixels both ways; black comes in        (N, H, W) -> (N, H, W)"""
    n, height, width = images.shape
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), axis=(1, 2))
    down, right = rng.integers(0, 2 * reach + 1, size=(2, n))
    return windows[np.arange(n), down, right]


def accuracy(classifier: DigitClassifier, images: datasets.ImageSet) -> float:
    return float((classifier.probabilities(images.images).argmax(axis=1) == images.labels).mean())


def train(
    images: datasets.ImageSet, *, epochs: int, batch_size: int, lr: float, seed: int, log=print
) -> DigitClassifier:
    """Cross-entropy, AdamW, a learning rate that warms up and falls as a cosine, digits shifted by up to two pixels."""
    rng = backend.generator(seed)
    classifier = DigitClassifier(rng=rng)
    optimizer = optim.AdamW(classifier.parameters(), lr=lr, weight_decay=0.01)
    batches = datasets.Batches(len(images), batch_size, rng)
    steps, begin, total = epochs * batches.batches_per_epoch, time.perf_counter(), 0.0
    for step in range(steps):
        index = next(batches)
        x = minigen.tensor(datasets.to_unit(shifted(images.images[index], rng)))
        logits = classifier(x)
        loss = ops.softmax_cross_entropy(logits, backend.asarray(images.labels[index]))
        optimizer.lr = optim.cosine(step, steps, warmup=min(100, steps // 10), lr=lr)
        optimizer.step(minigen.grad(loss, optimizer.parameters))
        total += loss.item()
        if (step + 1) % batches.batches_per_epoch == 0:
            minutes = (time.perf_counter() - begin) / 60
            mean, total = total / batches.batches_per_epoch, 0.0
            log(f"epoch {batches.epoch + 1:2d}   cross-entropy {mean:.4f}   {minutes:5.1f} minutes", flush=True)
    return classifier


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.train_classifier", description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist", help="folder with MNIST's files, or a name (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, help="file for the weights")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the data (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=128, help="images a step (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=2e-3, help="highest learning rate (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and shifts (default: %(default)s)")
    options = parser.parse_args()
    try:
        training, test = (datasets.load(options.data, split) for split in ("train", "test"))
        if not options.out.resolve().parent.is_dir():
            raise DataError(f"{options.out}: expected a file in an existing folder; make the folder first.")
        classifier = train(
            training, epochs=options.epochs, batch_size=options.batch_size, lr=options.lr, seed=options.seed
        )
    except MinigenError as error:
        print(error, file=sys.stderr)
        return 2
    from safetensors.numpy import save

    data = save(classifier.state_dict(), {"accuracy": f"{accuracy(classifier, test):.4f}", "seed": str(options.seed)})
    options.out.write_bytes(data)
    print(f"test accuracy {accuracy(classifier, test):.2%} of {len(test):,}")
    print(f"{options.out}: {len(data):,} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
