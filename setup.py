"""Packaging of minigen. Settings of the development tools are in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent


def version() -> str:
    """The version, which is written once, in minigen/__init__.py."""
    found = re.search(r'^__version__ = "(.+)"$', (HERE / "minigen" / "__init__.py").read_text("utf-8"), re.MULTILINE)
    if found is None:
        raise RuntimeError('minigen/__init__.py has no line __version__ = "..."')
    return found[1]


def readme() -> str:
    path = HERE / "README.md"
    return path.read_text("utf-8") if path.is_file() else ""


setup(
    name="minigen",
    version=version(),
    description="Generative models from scratch in NumPy and CuPy, with every formula where it is computed",
    long_description=readme(),
    long_description_content_type="text/markdown",
    license="MIT",
    license_files=["LICENSE"],
    author="minigen authors",
    python_requires=">=3.11",
    packages=[*find_packages(include=["minigen", "minigen.*", "lessons", "lessons.*"]), "minigen_data"],
    package_dir={"minigen_data": "data"},
    package_data={
        "minigen": ["py.typed", "kernels/cuda/*.cu*", "viz/*.js"],
        "minigen_data": ["*.gz", "*.md", "*.safetensors", "*.txt", "*.wav"],
    },
    install_requires=[
        "numpy>=2.1,<2.6",
        "scipy>=1.14,<1.18",
        "numba>=0.67,<0.69",
        "matplotlib>=3.9",
        "mido>=1.3",
        "tqdm>=4.66",
        "pooch>=1.8",
        "safetensors>=0.4.5",
    ],
    extras_require={
        "cuda12": ["cupy-cuda12x>=14,<15"],
        "cuda13": ["cupy-cuda13x>=14,<15"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "import-linter>=2.6",
            "ruff>=0.9",
            "setuptools>=77",
            "tensorboardX>=2.6.2",
            "sacrebleu>=2.4",
            "rouge-score>=0.1.2",
        ],
        "oracle": ["autograd>=1.8", "torch>=2.13,<2.14"],
        "bench": ["autograd>=1.8", "dezero>=0.0.13", "jax>=0.10", "torch>=2.13,<2.14"],
        "metrics": ["sacrebleu>=2.4", "rouge-score>=0.1.2"],
        "lessons": [
            "furo>=2024.8.6",
            "jupyterlab>=4",
            "jupytext>=1.16",
            "myst-nb>=1.1",
            "rich>=13.7",
            "sphinx>=7.4",
            "sphinx-mathjax-offline>=0.0.2",
        ],
        "mpi": ["mpi4py>=4", "mpich>=4"],
        "tensorboard": ["tensorboardX>=2.6.2"],
    },
    entry_points={"console_scripts": ["minigen = minigen.__main__:main"]},
    classifiers=[
        "Intended Audience :: Education",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
