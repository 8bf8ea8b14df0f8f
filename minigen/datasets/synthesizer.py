"""A score as sound: sines that begin with a click and die away, as a plucked string does. NumPy alone."""

from __future__ import annotations

import math

import numpy as np

from .music import GRID, TEMPO, Score

RATE = 22_050  # samples a second
PARTIALS = 8
ATTACK, RELEASE = 0.008, 0.08  # seconds in which a note comes, and goes when it ends


def frequency(pitch: int) -> float:
    """f = 440 · 2^((p − 69) / 12) Hz        equal temperament, A4 = 69"""
    return 440 * 2 ** ((pitch - 69) / 12)


def synthesize(score: Score, rate: int = RATE) -> np.ndarray:
    """x(t) = Σ over notes of e(t) Σ_k k^(−3/2) e^(−(1 + k) t / 2) sin(2π k f t)        -> float32 (n,), |x| ≤ 0.9

    t is the time since the note began; e rises from 0 to 1 in 8 ms and falls to 0 in 80 ms after the note's end. Of
    the partials k = 1, …, 8 those at or above half the rate are left out. The score is played at 120 quarters a minute.
    """
    second = 60 / TEMPO / GRID  # of a step
    x = np.zeros(math.ceil((score.steps * second + RELEASE) * rate) + 1, np.float32)
    for start, length, pitch in score.notes:
        sounds, f = length * second, frequency(pitch)
        t = np.arange(int((sounds + RELEASE) * rate)) / rate
        e = np.clip(t / ATTACK, 0, 1) * np.clip((sounds + RELEASE - t) / RELEASE, 0, 1)
        note = np.zeros_like(t)
        for k in range(1, PARTIALS + 1):
            if k * f < rate / 2:
                note += k**-1.5 * np.exp(-(1 + k) * t / 2) * np.sin(2 * np.pi * k * f * t)
        first = int(start * second * rate)
        x[first : first + len(t)] += e * note
    return 0.9 * x / max(1.0, float(np.abs(x).max(initial=0)))
