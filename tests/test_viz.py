"""Pictures: what the grid shows where, what the files hold, and that the curves can be drawn from any log."""

import io
from pathlib import Path

import numpy as np
import pytest

from minigen.errors import DtypeError, ShapeError
from minigen.viz import draw_curves, image_grid, save_gif, save_png
from minigen.viz.curves import smooth

ROOT = Path(__file__).resolve().parents[1]


def png(picture):
    file = io.BytesIO()
    save_png(file, picture)
    return file.getvalue()


def test_a_grid_puts_each_image_in_its_place():
    images = np.arange(1, 6, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 3, 4), np.uint8)
    grid = image_grid(images, gap=1, scale=2)
    assert grid.shape == (2 * (3 * 2 + 1) + 1, 3 * (4 * 2 + 1) + 1, 3) and grid.dtype == np.uint8
    for i in range(5):
        top, left = 1 + i // 3 * 7, 1 + i % 3 * 9
        assert (grid[top : top + 6, left : left + 8] == i + 1).all()
        grid[top : top + 6, left : left + 8] = 255
    assert (grid == 255).all()


def test_columns_colours_and_rounding():
    images = np.zeros((2, 3, 1, 1))
    images[0, :, 0, 0] = [-1.0, 0.5, 2.0]
    images[1, :, 0, 0] = [np.nan, 0.0019, 0.0021]
    grid = image_grid(images, columns=1, gap=0, scale=1)
    np.testing.assert_array_equal(grid, [[[0, 128, 255]], [[0, 0, 1]]])


@pytest.mark.parametrize("shape", [(4, 28, 28), (0, 1, 2, 2), (1, 2, 4, 4), (3,), (1, 1, 0, 4)])
def test_what_is_no_set_of_images(shape):
    with pytest.raises(ShapeError, match="image_grid: expected images"):
        image_grid(np.zeros(shape))


def test_other_numbers_and_no_columns():
    with pytest.raises(DtypeError, match="came int64"):
        image_grid(np.zeros((1, 1, 2, 2), np.int64))
    with pytest.raises(ShapeError, match="at least one column, came 0"):
        image_grid(np.zeros((1, 1, 2, 2)), columns=0)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_a_png_gives_the_picture_back(tmp_path, shape):
    from PIL import Image

    picture = np.random.default_rng(0).integers(256, size=shape).astype(np.uint8)
    save_png(tmp_path / "p.png", picture[::-1])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "p.png")), picture[::-1])
    assert png(picture) == png(picture.copy())
    with pytest.raises(ShapeError, match="save_png: expected a picture of uint8"):
        save_png(tmp_path / "q.png", picture / 255)


def test_a_gif_of_arrays_and_of_files(tmp_path):
    from PIL import Image

    frames = [np.full((8, 6, 3), v, np.uint8) for v in (0, 120, 250)]
    for i, frame in enumerate(frames):
        save_png(tmp_path / f"{i}.png", frame)
    one, two = io.BytesIO(), io.BytesIO()
    save_gif(one, frames)
    save_gif(two, sorted(tmp_path.glob("*.png")))
    assert one.getvalue() == two.getvalue()
    with Image.open(one) as gif:
        assert gif.n_frames == 3 and gif.info["loop"] == 0
        gif.seek(2)
        assert (np.asarray(gif.convert("L")) == 250).all()
    save_gif(io.BytesIO(), frames[:1])
    coloured = frames[0].copy()
    coloured[:, :, 0] = 200
    save_gif(tmp_path / "c.gif", [coloured, frames[0]])
    with Image.open(tmp_path / "c.gif") as gif:
        assert np.asarray(gif.convert("RGB"))[0, 0].tolist() == [200, 0, 0]


@pytest.mark.parametrize("frames", [[], [np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8)]])
def test_frames_that_make_no_gif(frames):
    with pytest.raises(ShapeError, match="save_gif: expected pictures of one size"):
        save_gif(io.BytesIO(), frames)


@pytest.mark.parametrize(
    "records",
    [
        [],
        [{"step": 1, "epoch": 0.1, "seconds": 0.1, "loss": 1.0}],
        [{"step": i, "epoch": 0.0, "seconds": 0.0, "a": 1.0 + i, "b": -i, "c": 10.0**-i} for i in range(200)],
        [{"step": 1, "loss": None}, {"step": 2, "loss": 0.0, "late": 1e300}],
        [{"step": i, "with $odd_ names": 0.0} for i in range(50)],
    ],
)
def test_curves_of_any_log(records):
    file = io.BytesIO()
    draw_curves(file, records)
    assert file.getvalue().startswith(b"\x89PNG")


def test_smoothing_is_a_mean_over_neighbours():
    x = np.arange(10.0) ** 2
    np.testing.assert_allclose(smooth(x, 3), [0.5, *((x[:-2] + x[1:-1] + x[2:]) / 3), 72.5])
    np.testing.assert_allclose(smooth(np.arange(100.0))[2:-2], np.arange(100.0)[2:-2])
    np.testing.assert_array_equal(smooth(x), x)
    assert smooth(np.array([])).size == 0


def test_no_global_state_of_matplotlib():
    """Curves are drawn without pyplot, so that no window opens and no backend is chosen for the caller."""
    import subprocess
    import sys

    code = (
        "import io, sys; from minigen.viz import draw_curves; draw_curves(io.BytesIO(), [{'step': 1, 'loss': 1.0}]); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
