"""Products of matrices and tensors. In each, the gradient of one factor is a product of g and the other factors."""

from __future__ import annotations

import math
from functools import lru_cache
from string import ascii_letters

from .. import backend, kernels
from ..backend import xp
from ..errors import ShapeError
from ..tensor import Tensor, primitive
from .reduction import sum
from .shape import broadcast_to, expand_dims, reshape, squeeze

# -- matmul -----------------------------------------------------------------------------------------------------------


def _gradient_of_left(g, x_shape, w):
    """g wᵀ"""
    if w.ndim == 1:
        return expand_dims(g, -1) * w
    if len(x_shape) == 1:
        return squeeze(matmul(w, expand_dims(g, -1)), -1)
    return matmul(g, w.swapaxes(-1, -2))


def _gradient_of_right(g, x, w_shape):
    """xᵀ g"""
    if x.ndim == 1:
        return g * x if len(w_shape) == 1 else expand_dims(x, -1) * expand_dims(g, -2)
    if x.ndim > 2 and len(w_shape) < 3:  # one product over all rows, which sums over the batch as it goes
        rows = math.prod(x.shape[:-1])
        x, g = reshape(x, (rows, x.shape[-1])), reshape(g, (rows, *w_shape[1:]))
    return matmul(x.swapaxes(-1, -2), g)


@primitive(_gradient_of_left, _gradient_of_right)
def matmul(x, w):
    """y = x w        ∂L/∂x = g wᵀ, ∂L/∂w = xᵀ g        (…, n, k), (…, k, m) -> (…, n, m)

    As in NumPy, leading axes broadcast, and a vector is a row on the left, a column on the right: (k), (…, k, m) ->
    (…, m) and (…, n, k), (k) -> (…, n).
    """
    try:
        if xp.ndim(x) > 2 and xp.ndim(w) == 2:  # one large product is faster than many small ones
            rows = xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
            return xp.reshape(kernels.product(rows, w), (*x.shape[:-1], w.shape[1]))
        return (kernels.product if xp.ndim(x) == xp.ndim(w) == 2 else xp.matmul)(x, w)
    except ValueError as error:
        raise ShapeError(
            f"matmul: cannot multiply {xp.shape(x)} by {xp.shape(w)}; expected (…, n, k) and (…, k, m) with one k and "
            "leading axes that broadcast: is a transpose missing?"
        ) from error


def _rows(x):
    """(…, k) -> (rows, k)"""
    return x if x.ndim == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _linear_gradients(g, x, weight, needs):
    """One product each over all rows; where they are differentiated in their turn, one operation each"""
    flat_g, flat_x = _rows(g), _rows(x)
    if not any(isinstance(a, Tensor) for a in (g, x, weight)):
        dx, dw, db = kernels.linear_gradients(flat_g, flat_x, weight, needs)
        return dx if dx is None or x.ndim == 2 else dx.reshape(x.shape), dw, db
    return (
        matmul(g, weight) if needs[0] else None,
        matmul(flat_g.swapaxes(0, 1), flat_x) if needs[1] else None,
        sum(flat_g, 0) if needs[2] else None,
    )


@primitive(joint=_linear_gradients)
def linear(x, weight, bias=None):
    """y = x Wᵀ + b        ∂L/∂x = g W, ∂L/∂W = gᵀ x, ∂L/∂b = Σ g over the rows        (…, k), (m, k), (m) -> (…, m)

    One operation rather than three, so that ∂L/∂W comes in the memory order of W.
    """
    if x.ndim < 1 or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(f"linear: expected x (…, k) and weight (m, k) with one k, got {x.shape} and {weight.shape}.")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(
            f"linear: expected a bias of shape {weight.shape[:1]}, one number per row of the weight, got {bias.shape}."
        )
    y = kernels.product(_rows(x), weight.T, bias)
    return y if x.ndim == 2 else y.reshape(*x.shape[:-1], weight.shape[0])


# -- einsum -----------------------------------------------------------------------------------------------------------


def _gradients(g, operands, subscripts, needs):
    terms, output = _parse(subscripts, tuple(x.ndim for x in operands))
    return [_gradient(k, g, operands, terms, output) if need else None for k, need in enumerate(needs)]


def _gradient(k, g, operands, terms, output):
    """einsum of g and the other operands, with the letters of operand k for output.

    A letter that only operand k has was summed over, so the gradient is repeated along it. A letter that it has twice
    (…ii…) is a product with the identity, x_ij δ_ij: the second letter gets a name of its own, and δ joins the factors.
    """
    x, names = operands[k], ""
    factors = [(output, g), *((t, w) for j, (t, w) in enumerate(zip(terms, operands)) if j != k)]
    unused = iter(set(ascii_letters).difference(output, *terms))
    for axis, letter in enumerate(terms[k]):
        if letter in names:
            twin = next(unused)
            factors.append((letter + twin, _identity(x, x.shape[axis])))
            letter = twin
        names += letter
    known = {letter for term, _ in factors for letter in term}
    given = "".join(letter for letter in names if letter in known)
    r = einsum(",".join(term for term, _ in factors) + "->" + given, *(w for _, w in factors))
    if given != names:
        r = expand_dims(r, tuple(axis for axis, letter in enumerate(names) if letter not in known))
    shape = tuple(n if m == 1 else m for n, m in zip(x.shape, r.shape))
    return r if r.shape == shape else broadcast_to(r, shape)


@primitive(None)
def _identity(x, n):
    """δ of size n × n, beside x and in its dtype"""
    i = xp.arange(n, like=x)
    return (i[:, None] == i).astype(x.dtype)


@primitive(joint=_gradients)
def _einsum(*operands, subscripts):
    terms, output = _parse(subscripts, tuple(map(xp.ndim, operands)))
    if len({backend.name_of(a) for a in operands if backend.is_array(a)}) > 1:
        raise TypeError("the operands are arrays of two libraries")  # CuPy alone would copy in silence
    return xp.einsum(",".join(terms) + "->" + output, *operands, optimize=len(operands) > 1)


def einsum(subscripts: str, *operands):
    """y_{output} = Σ x₁_{term₁} x₂_{term₂} … over the letters that are not in the output        "ij,jk->ik" is x₁ x₂

    ∂L/∂xₖ is the einsum of g and the other operands with termₖ for output. Without "->" the output has the letters
    that occur once, in alphabetical order; "..." stands for any leading axes, which broadcast.
    """
    return _einsum(*operands, subscripts=subscripts)


@lru_cache(maxsize=1024)
def _parse(subscripts: str, ndims: tuple[int, ...]) -> tuple[list[str], str]:
    """The letters of each operand and of the output, with letters for "..." and for an output left out."""
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(ndims):
        raise ShapeError(f"einsum: expected {len(terms)} operands for {subscripts!r}, got {len(ndims)}.")
    named = [term.replace("...", "") for term in terms]
    if strange := set("".join(named) + output.replace("...", "")).difference(ascii_letters):
        raise ShapeError(f"einsum: expected letters, commas, '...' and '->' in {subscripts!r}, got {min(strange)!r}.")
    extra = [n - len(letters) for n, letters in zip(ndims, named)]
    for k, (term, n) in enumerate(zip(terms, extra)):
        if n < 0 or (n > 0 and "..." not in term):
            raise ShapeError(
                f"einsum: operand {k} has {ndims[k]} axes, but its term {term!r} in {subscripts!r} names "
                f"{len(named[k])}; name every axis or use '...'."
            )
    spare = [letter for letter in ascii_letters if letter not in subscripts][: max(extra)]
    terms = [term.replace("...", "".join(spare[len(spare) - n :])) for term, n in zip(terms, extra)]
    if not arrow:
        once = "".join(named)
        output = "..." + "".join(letter for letter in sorted(set(once)) if once.count(letter) == 1)
    output = output.replace("...", "".join(spare))
    for letter in output:
        if output.count(letter) > 1 or not any(letter in term for term in terms):
            raise ShapeError(
                f"einsum: the output of {subscripts!r} must name each axis once, and only axes of the operands; "
                f"check {letter!r}."
            )
    return terms, output
