"""Products in register tiles against float64, and where one number read or written beyond an array would crash."""

import ctypes
import mmap
import os
import subprocess
import sys

import numpy as np
import pytest
from numba import njit

from minigen.kernels import KERNELS
from minigen.kernels.cpu import product, recurrent, tile
from minigen.kernels.reference import recurrent as reference


@njit
def multiply(rows, columns, steps, a, a_row, a_step, b, c, c_row, old, old_row):
    """Only compiled code can call it."""
    tile.multiply(rows, columns, steps, a, a_row, a_step, b, c, c_row, old, old_row)


needs_tiles = pytest.mark.skipif(not tile.usable(), reason="no vectors of 512 bits")


@pytest.fixture
def threads(monkeypatch):
    return lambda n: monkeypatch.setattr("minigen.kernels.cpu.threads.get_num_threads", lambda: n)


@pytest.fixture
def small(monkeypatch):
    """Small products go into tiles as well, their sums in parts, whatever threads BLAS has."""
    monkeypatch.setattr(product, "OURS", True)
    for name, value in {"WORK": 1.0, "LEAST": 8, "ALONG": 5, "ACROSS": 3}.items():
        monkeypatch.setattr(product, name, value)


def guarded(shape, at_end):
    """An array of zeros that begins right after a page that must not be touched, or ends right before one."""
    size, page = int(np.prod(shape)) * 4, mmap.PAGESIZE
    inner = -(-size // page) * page
    memory = mmap.mmap(-1, inner + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for forbidden in (start, start + page + inner):
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(forbidden), page, 0) == 0  # PROT_NONE
    return np.frombuffer(memory, np.float32, size // 4, page + (inner - size if at_end else 0)).reshape(shape)


@needs_tiles
@pytest.mark.parametrize(
    "shape", [(8, 7, 64), (90, 1, 80), (61, 12, 208), (150, 33, 128), (40, 9, 50), (90, 3, 65)], ids=str
)
def test_products_in_tiles(shape, rng, small, threads, loops):
    n, k, m = shape
    x, w, b = (rng.standard_normal(shape, np.float32) for shape in ((n, k), (k, m), (m,)))
    parts = loops(product)
    for u in (x, np.asfortranarray(x)):
        for v in (w, np.asfortranarray(w)):
            results = []
            for count in (1, 2, 3):
                threads(count)
                results.append(product.product(u, v))
            expected = x.astype("f8") @ w.astype("f8")
            np.testing.assert_allclose(results[0], expected, rtol=0, atol=2e-6 * k + 1e-6)
            np.testing.assert_allclose(product.product(u, v, b), expected + b, rtol=0, atol=2e-6 * k + 1e-6)
            assert results[0].flags.c_contiguous
            for other in results[1:]:  # the same bytes, whoever computes a row
                np.testing.assert_array_equal(results[0], other)
    assert {function for function, _ in parts} == {product._tiles} and max(count for _, count in parts) > 1


@needs_tiles
@pytest.mark.parametrize(
    "n, m, k", [(64, 64, 16), (150, 65, 208), (97, 300, 48), (1000, 80, 128), (770, 5, 32), (1001, 7, 48)], ids=str
)
@pytest.mark.parametrize("needs", [(True, True, True), (True, True, False), (False, True, True)], ids=str)
def test_the_gradients_of_a_linear_layer(n, m, k, needs, rng, small, threads, loops):
    """They are those of the reference, in one loop where all are needed; from any number of threads the same bytes."""
    g, x, w = (rng.standard_normal(shape, np.float32) for shape in ((n, m), (n, k), (m, k)))
    expected = KERNELS["linear_gradients"](*(a.astype("f8") for a in (g, x, w)), needs)
    done = loops(product)
    for order in (g, np.asfortranarray(g)):
        results = []
        for count in (1, 2, 3):
            threads(count)
            results.append(product.linear_gradients(order, x, w, needs))
            for a, b, first in zip(results[-1], expected, results[0], strict=True):
                assert (a is None) == (b is None)
                if a is not None:
                    np.testing.assert_allclose(a, b, rtol=0, atol=2e-6 * max(n, m))
                    if m >= product.LEAST or needs[0]:  # else it is BLAS
                        np.testing.assert_array_equal(a, first)
    whole = product._linear_narrow if m < product.LEAST else product._linear
    assert ({function for function, _ in done} == {whole}) == (needs[:2] == (True, True))
    assert max(count for _, count in done) > 1


@needs_tiles
@pytest.mark.parametrize("at_end", [False, True])
def test_nothing_beyond_the_arrays_is_touched(at_end, rng):
    for rows, steps, columns in ((1, 1, 16), (6, 3, 64), (7, 2, 80), (53, 5, 144)):
        a, b, c = (guarded(shape, at_end) for shape in ((rows, steps), (steps, columns), (rows, columns)))
        packed = guarded((steps * columns,), at_end)
        a[...], b[...] = rng.standard_normal(a.shape), rng.standard_normal(b.shape)
        c[...] = 1
        tile.pack(b, False, 0, steps, 0, columns, packed)
        addresses = [x.ctypes.data for x in (a, packed, c)]
        multiply(rows, columns, steps, addresses[0], 4 * steps, 4, *addresses[1:], 4 * columns, addresses[2],
                      4 * columns)  # fmt: skip
        np.testing.assert_allclose(c, 1 + a.astype("f8") @ b, atol=1e-5)
        kept = packed.copy()
        turned = guarded((columns, steps), at_end)
        turned[...] = b.T
        tile.pack(turned, True, 0, steps, 0, columns, packed)
        np.testing.assert_array_equal(packed, kept)


@needs_tiles
def test_nan_and_infinity_stay_in_their_rows(rng, small):
    x, w = rng.standard_normal((20, 9), np.float32), rng.standard_normal((9, 64), np.float32)
    x[3, 4], x[7, 0] = np.nan, np.inf
    y = product.product(x, w)
    assert np.isnan(y[3]).all() and not np.isfinite(y[7]).any()
    assert np.isfinite(np.delete(y, (3, 7), axis=0)).all()


@pytest.mark.parametrize("tiles", [pytest.param(True, marks=needs_tiles), False])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [16, 24, 48])
def test_lstm_with_and_without_tiles(size, masked, tiles, rng, threads, monkeypatch):
    monkeypatch.setattr(recurrent, "_TILES", tiles)
    n, steps = 11, 4
    shapes = (n, steps, 4 * size), (4 * size, size), (n, size), (n, size), (n, steps, size), (n, size)
    a, u, h0, c0, g, g_c = (rng.standard_normal(shape, np.float32) for shape in shapes)
    mask = rng.random((n, steps)) < 0.7 if masked else None
    wide = [x.astype("f8") for x in (a, u, h0, c0)]
    expected = reference.lstm(*wide, mask)
    gradients = reference.lstm_gradients(g.astype("f8"), g_c.astype("f8"), *wide[1:], mask, *expected)
    for count in (1, 2):
        threads(count)
        found = recurrent.lstm(a, u, h0, c0, mask)
        for x, e in zip(found[:2], expected):  # h and c
            np.testing.assert_allclose(x, e, rtol=0, atol=1e-5)
        for x, e in zip(recurrent.lstm_gradients(g, g_c, u, h0, c0, mask, *found), gradients):
            np.testing.assert_allclose(x, e, rtol=1e-4, atol=1e-4)


EVERYWHERE = """
import sys

import numpy as np
from minigen.kernels import KERNELS, twin

draw = lambda *shape: np.random.default_rng(len(shape)).standard_normal(shape, np.float32)
lstm = draw(9, 3, 96), draw(96, 24), draw(9, 24), draw(9, 24)
gates = KERNELS["lstm"](*lstm, None)
cases = {
    "lstm": lambda: (*lstm, None),
    "lstm_gradients": lambda: (draw(9, 3, 24), draw(9, 24), *lstm[1:], None, *(g.copy() for g in gates)),
    "product": lambda: (draw(400, 300), draw(300, 80)),
    "linear_gradients": lambda: (draw(900, 32), draw(900, 64), draw(32, 64), (True, True, True)),
    "conv2d": lambda: (draw(2, 16, 9, 9), draw(32, 16, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "place": lambda: (draw(200, 200), (slice(None), slice(2, None)), (200, 202)),
    "reshape": lambda: (draw(9, 70, 80).transpose(0, 2, 1), (9, -1)),
    "adam_steps": lambda: ([draw(70)], [draw(70)], [draw(70)], [draw(70) ** 2], [3], 0.1, 0.9, 0.99, 1e-8, [0.0]),
    "clip_norm": lambda: ([draw(70), draw(9, 9)], 1.0),
}
for name, arguments in cases.items():
    ours, theirs = arguments(), arguments()
    pairs = [(twin(name, "numba")(*ours), KERNELS[name](*theirs)), (ours[0], theirs[0])]
    while pairs:
        a, b = pairs.pop()
        if isinstance(a, tuple | list):
            pairs += zip(a, b, strict=True)
        elif a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3, err_msg=name)
tile = sys.modules.get("minigen.kernels.cpu.tile")
print(tile and tile.usable(), len(cases))
"""


@pytest.mark.parametrize("environment, tiles", [
    ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"}, "False"),
    ({"NUMBA_DISABLE_JIT": "1"}, "None"),
], ids=["avx2", "not compiled"])  # fmt: skip
def test_without_wide_vectors_and_without_a_compiler(environment, tiles, tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)} | environment
    command = [sys.executable, "-c", EVERYWHERE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.stdout.split() == [tiles, "9"], done.stderr
