"""Places for the boxes of a graph without circles, so that arrows point down."""

from __future__ import annotations

BOX = (132, 60)  # width and height of a box
GAP = (26, 44)  # between boxes of a layer, and between layers
LANE = 18  # the width that a passing arrow takes in a layer


def layered(count: int, arrows: list[tuple[int, int]]) -> tuple[int, int, list[tuple[float, float]], list[str]]:
    """Width, height, the middle of each box and the SVG path of each arrow; box i comes before all it points to.

    A box lies one layer below the lowest that points to it; one that nothing points to, just above its first user. An
    arrow over several layers has a place of its own in each. A layer is in the order of its neighbours' mean places.
    """
    layer = [0] * count
    for i in range(count):
        layer[i] = max((layer[a] + 1 for a, b in arrows if b == i), default=0)
    for i in range(count):
        if all(b != i for _, b in arrows):
            layer[i] = max(0, min((layer[b] for a, b in arrows if a == i), default=1) - 1)
    levels: list[list] = [[] for _ in range(max(layer) + 1)]
    for i in range(count):
        levels[layer[i]].append(i)
    routes = []
    for k, (a, b) in enumerate(arrows):
        route = [a, *((k, between) for between in range(layer[a] + 1, layer[b])), b]
        for between in route[1:-1]:
            levels[between[1]].append(between)
        routes.append(route)
    above: dict = {}
    below: dict = {}
    for route in routes:
        for p, q in zip(route, route[1:]):
            above.setdefault(q, []).append(p)
            below.setdefault(p, []).append(q)

    x = _spread(levels)
    for sweep in range(8):
        neighbours = above if sweep % 2 == 0 else below
        for level in levels if sweep % 2 == 0 else reversed(levels):
            level.sort(key=lambda p: _mean([x[q] for q in neighbours.get(p, [])], x[p]))
            x |= _spread([level])
    for sweep in range(60):  # move towards the neighbours, as far as those to the left and right allow
        for level in levels if sweep % 2 == 0 else reversed(levels):
            _relax(level, {p: _mean([x[q] for q in above.get(p, []) + below.get(p, [])], x[p]) for p in level}, x)

    left = min(x[p] - _width(p) / 2 for level in levels for p in level)
    right = max(x[p] + _width(p) / 2 for level in levels for p in level)
    step = BOX[1] + GAP[1]
    y = {p: BOX[1] / 2 + 2 + step * n for n, level in enumerate(levels) for p in level}
    x = {p: x[p] - left + 2 for p in x}
    paths = []
    for route in routes:
        path, bend = "", GAP[1] / 2
        for p, q in zip(route, route[1:]):
            start, end = y[p] + BOX[1] / 2, y[q] - BOX[1] / 2
            path += f"M{x[p]:.0f} {start:.0f}" if not path else f"V{start:.0f}"
            path += f"C{x[p]:.0f} {start + bend:.0f} {x[q]:.0f} {end - bend:.0f} {x[q]:.0f} {end:.0f}"
        paths.append(path)
    return round(right - left) + 4, round(step * len(levels) - GAP[1]) + 4, [(x[i], y[i]) for i in range(count)], paths


def _width(p) -> float:
    return BOX[0] if isinstance(p, int) else LANE


def _mean(values: list, otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _spread(levels: list[list]) -> dict:
    """The items of each layer side by side, around 0."""
    x = {}
    for level in levels:
        at = -(sum(map(_width, level)) + GAP[0] * (len(level) - 1)) / 2
        for p in level:
            x[p] = at + _width(p) / 2
            at += _width(p) + GAP[0]
    return x


def _relax(level: list, wish: dict, x: dict) -> None:
    """Give each item its wish, then push neighbours apart from the left and from the right and take the middle."""
    apart = [(_width(p) + _width(q)) / 2 + GAP[0] for p, q in zip(level, level[1:])]
    low = [wish[p] for p in level]
    high = list(low)
    for i, d in enumerate(apart):
        low[i + 1] = max(low[i + 1], low[i] + d)
    for i in reversed(range(len(apart))):
        high[i] = min(high[i], high[i + 1] - apart[i])
    for p, a, b in zip(level, low, high):
        x[p] = (a + b) / 2
