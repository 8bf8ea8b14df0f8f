"""Data: image sets by name or folder, synthetic densities, and the order in which examples are seen.

Everything here is NumPy on the host.
"""

from minigen.datasets.batches import Batches
from minigen.datasets.bundled import load_digits
from minigen.datasets.catalog import available, load
from minigen.datasets.folder import load_folder
from minigen.datasets.idx import read_idx, write_idx
from minigen.datasets.images import ImageSet
from minigen.datasets.pixels import from_signed, from_unit, to_signed, to_unit
from minigen.datasets.remote import download
from minigen.datasets.synthetic import mixture_1d, ring_of_gaussians, two_moons

__all__ = [
    "Batches",
    "ImageSet",
    "available",
    "download",
    "from_signed",
    "from_unit",
    "load",
    "load_digits",
    "load_folder",
    "mixture_1d",
    "read_idx",
    "ring_of_gaussians",
    "to_signed",
    "to_unit",
    "two_moons",
    "write_idx",
]
