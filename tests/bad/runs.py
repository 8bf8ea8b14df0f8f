"""Run folders, and their checkpoints: damaged by chance, and by someone who knows how they are sealed."""

import json
import struct

import numpy as np

from minigen.training import checkpoint

from . import Case, cuts, places, written

STEP = "checkpoint-000006"
COMMANDS = {
    "train": ("train", "--resume", "run", "--steps", "8"),
    "sample": ("sample", "run"),
    "evaluate": ("evaluate", "run"),
}


def replaced(name, change):
    """A file of the run with other content."""
    return lambda folder: (folder / "run" / name).write_bytes(change((folder / "run" / name).read_bytes()))


def instead(name, make):
    """Something else in the place of a file of the run."""
    return lambda folder: ((folder / "run" / name).unlink(), make(folder))


def with_config(**entries):
    """config.json with some entries replaced, or deleted where they are ...; `a__b` is entry b of a."""

    def change(content):
        config = json.loads(content)
        for path, value in entries.items():
            at, (*outer, last) = config, path.split("__")
            for name in outer:
                at = at[name]
            if value is ...:
                del at[last]
            else:
                at[last] = value
        return json.dumps(config).encode()

    return replaced("config.json", change)


def sealed(**entries):
    """The checkpoint's record with some entries replaced, and a SHA-256 that fits: damage that no checksum finds."""

    def change(content):
        record = json.loads(content)
        del record["sha256"]
        for name, value in entries.items():
            if value is ...:
                del record[name]
            else:
                record[name] = value
        return json.dumps(record | {"sha256": checkpoint._digest(record)}).encode()

    return replaced(f"{STEP}.json", change)


def forged(change):
    """Other arrays in the checkpoint, with the length and the SHA-256 that fit them."""
    import hashlib

    def make(folder):
        arrays = folder / "run" / f"{STEP}.safetensors"
        arrays.write_bytes(data := change(arrays.read_bytes()))
        sealed(arrays={"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})(folder)

    return make


def header(change):
    """The header of a safetensors file, which is JSON behind its length, changed."""

    def apply(data):
        (n,) = struct.unpack("<Q", data[:8])
        text = json.dumps(change(json.loads(data[8 : 8 + n]))).encode()
        return struct.pack("<Q", len(text)) + text + data[8 + n :]

    return apply


def first(**entries):
    """The entry of the first array in that header, changed."""
    return header(lambda found: {k: v | (entries if i == 0 else {}) for i, (k, v) in enumerate(found.items())})


def filled(value):
    """Every array of floats filled with a value."""

    def change(data):
        from safetensors.numpy import load, save

        return save({k: np.full_like(a, value) if a.dtype.kind == "f" else a for k, a in load(data).items()})

    return change


CONFIGS = {
    "no format": with_config(format=...),
    "a format of words": with_config(format="1"),
    "a later format": with_config(format=2),
    "no model": with_config(model=...),
    "a model that is none": with_config(model="gain"),
    "a model that is a list": with_config(model=["gan"]),
    "a model that is a path": with_config(model="../../gan"),
    "no settings": with_config(config=...),
    "settings that are a list": with_config(config=[]),
    "an unknown setting": with_config(config__lateral=4),
    "latent as text": with_config(config__latent="4"),
    "latent of 10¹²": with_config(config__latent=10**12),
    "latent of 10³⁰": with_config(config__latent=10**30),
    "layers of 10¹²": with_config(config__generator=[10**12, 10**12]),
    "another latent": with_config(config__latent=5),
    "other layers": with_config(config__generator=[8, 8]),
    "a loss that is none": with_config(config__loss="x"),
    "data that are a number": with_config(config__data=3),
    "JSON in UTF-16": replaced("config.json", lambda b: b.decode().encode("utf-16")[2:] + b"\0\xd8"),
    "a list": replaced("config.json", lambda b: b"[]"),
    "null": replaced("config.json", lambda b: b"null"),
    "nothing": replaced("config.json", lambda b: b""),
    "brackets to the sky": replaced("config.json", lambda b: b"[" * 100_000),
    "a number without end": replaced("config.json", lambda b: b'{"format": ' + b"1" * 10_000 + b"}"),
    "zero bytes": replaced("config.json", lambda b: bytes(len(b))),
}
TRAINING = {
    "training that is a list": with_config(training=[]),
    "no training": with_config(training=...),
    "a seed of words": with_config(training__seed="x"),
    "a negative seed": with_config(training__seed=-1),
    "a backend that is none": with_config(training__backend="cuda"),
    "an unknown entry of training": with_config(training__sead=1),
    "a budget of nothing": with_config(training__budget=0),
    "no samples": with_config(training__sample_every=0),
    "data that are gone": with_config(config__data="/nowhere/set"),
    "data without end": with_config(config__data="/dev/zero"),
    "fewer data than a batch": with_config(config__batch_size=10**6),
}
RECORDS = {
    "no arrays": sealed(arrays=...),
    "arrays that are a list": sealed(arrays=[]),
    "a length of words": sealed(arrays={"bytes": "x", "sha256": ""}),
    "a length of 10¹²": sealed(arrays={"bytes": 10**12, "sha256": ""}),
    "a negative length": sealed(arrays={"bytes": -1, "sha256": ""}),
    "no sha256 of the arrays": sealed(arrays={"bytes": 1}),
    "no step": sealed(step=...),
    "a step of words": sealed(step="six"),
    "no format": sealed(format=...),
    "a later format": sealed(format=2),
    "a format of words": sealed(format="1"),
}
STATES = {
    **{f"no {name}": sealed(**{name: ...}) for name in ("seconds", "optimizers", "data", "rng")},
    **{f"{name} of words": sealed(**{name: "x"}) for name in ("seconds", "optimizers", "data", "rng")},
    **{f"{name} a list": sealed(**{name: []}) for name in ("seconds", "optimizers", "data", "rng")},
    **{f"{name} null": sealed(**{name: None}) for name in ("seconds", "optimizers", "data", "rng")},
    **{f"{name} empty": sealed(**{name: {}}) for name in ("optimizers", "data", "rng")},
    "another generator": sealed(rng={"bit_generator": "MT19937", "state": {}}),
    "a generator of words": sealed(rng={"bit_generator": "PCG64", "state": "x"}),
    "a state beyond 128 bits": sealed(
        rng={"bit_generator": "PCG64", "state": {"state": 2**200, "inc": 1}, "has_uint32": 0, "uinteger": 0}
    ),
    "a state of words": sealed(
        rng={"bit_generator": "PCG64", "state": {"state": "a", "inc": "b"}, "has_uint32": 0, "uinteger": 0}
    ),
    "optimizers of nothing": sealed(optimizers={"generator": {}, "discriminator": {}}),
    "optimizers of words": sealed(optimizers={"generator": "x", "discriminator": "y"}),
    "steps of words": sealed(
        optimizers={k: {"optimizer": "Adam", "lr": "fast", "steps": "x"} for k in ("generator", "discriminator")}
    ),
    "negative seconds": sealed(seconds=-1.0),
    "a negative step": sealed(step=-6),
    "other data": sealed(data={"n": 3, "batch_size": 8, "epoch": 0, "position": 0, "epoch_start": {}, "generator": {}}),
    "a place beyond the data": sealed(
        data={"n": 64, "batch_size": 8, "epoch": 0, "position": 1000, "epoch_start": {}, "generator": {}}
    ),
}
ARRAYS = {
    "no header": lambda d: b"",
    "a header of 10¹² bytes": lambda d: struct.pack("<Q", 10**12) + d[8:],
    "a header of 2⁶⁴ bytes": lambda d: b"\xff" * 8 + d[8:],
    "a header of nothing": lambda d: struct.pack("<Q", 0) + d[8:],
    "a header that is no JSON": lambda d: d[:8] + b"!" + d[9:],
    "a pickle": lambda d: b"\x80\4\x95" + d[3:],
    "a NumPy file": lambda d: b"\x93NUMPY\1\0" + d[8:],
    "a zip": lambda d: b"PK\3\4" + d[4:],
    "only a header": lambda d: d[: 8 + struct.unpack("<Q", d[:8])[0]],
    "10¹² items": first(shape=[10**12]),
    "10³⁰ items": first(shape=[10**30]),
    "a negative shape": first(shape=[-1]),
    "another shape": first(shape=[1]),
    "another dtype": first(dtype="F64"),
    "a dtype that is none": first(dtype="Q7"),
    "bfloat16": first(dtype="BF16"),
    "half": first(dtype="F16"),
    "offsets behind the end": first(data_offsets=[0, 10**12]),
    "offsets that overlap": first(data_offsets=[4, 8]),
    "offsets backwards": first(data_offsets=[64, 0]),
    "no arrays": header(lambda found: {}),
    "an array less": header(lambda found: dict(list(found.items())[1:])),
    "metadata of numbers": header(lambda f: {"__metadata__": {"a": 1}} | f),
    "NaN everywhere": filled(np.nan),
}
LOGS = {  # of which what is sound is kept
    "records of words": b'{"step": 1, "discriminator.loss": "x"}\n',
    "records of lists": b'{"step": 1, "loss": [1]}\n',
    "NaN": b'{"step": 1, "loss": NaN}\n',
    "brackets to the sky": b"[" * 100_000,
    "a step that is true": b'{"step": true}\n',
    "no UTF-8": b'{"step": 1, "\xff": 1}\n',
    "a step of words": b'{"step": "x"}\n',
    "a number without end": b'{"step": 1, "loss": ' + b"1" * 10_000 + b"}\n",
}

every = lambda kind, cases, commands=COMMANDS: [
    Case(kind, f"{name}, {what}", make, command, base="gan")
    for what, command in COMMANDS.items()
    if what in commands
    for name, make in cases.items()
]
GOOD = b'{"format": 1, "model": "gan", "config": {"latent": 4}, "training": {}, "dataset": {"items": 64}}'
CASES = [
    *every("run folders", {f"config.json: {name}": make for name, make in CONFIGS.items()}),
    *every("run folders", {f"config.json: {name}": make for name, make in TRAINING.items()}, ("train",)),
    *every(
        "run folders",
        {f"config.json {name}": replaced("config.json", lambda b, c=c: c) for name, c in cuts(GOOD).items()},
        ("train", "sample"),
    ),
    *every(
        "run folders",
        {f"config.json: {name}": instead("config.json", make) for name, make in places("run/config.json").items()},
        ("train", "sample"),
    ),
    *every("checkpoints", {f"record: {name}": make for name, make in RECORDS.items()}),
    *every("checkpoints", {f"record: {name}": make for name, make in STATES.items()}, ("train",)),
    *every("checkpoints", {f"arrays: {name}": forged(change) for name, change in ARRAYS.items()}, ("train", "sample")),
    *every(
        "checkpoints",
        {f"arrays, unsealed: {name}": replaced(f"{STEP}.safetensors", change) for name, change in ARRAYS.items()},
        ("sample",),
    ),
    *every(
        "checkpoints",
        {
            f"arrays: {name}": instead(f"{STEP}.safetensors", make)
            for name, make in places(f"run/{STEP}.safetensors").items()
        },
        ("train", "sample"),
    ),
    *every(
        "checkpoints",
        {
            f"record: {name}": instead(f"{STEP}.json", make)
            for name, make in places(f"run/{STEP}.json").items()
            if name != "nothing there"
        },
        ("train", "sample"),
    ),
    *(
        Case("run folders", name, make, command)
        for name, make in places("run").items()
        for command in COMMANDS.values()
    ),
    Case("run folders", "an empty folder", lambda folder: (folder / "run").mkdir(), COMMANDS["train"]),
    Case(
        "run folders",
        "only config.json, sampled",
        lambda folder: written(folder / "run/config.json", GOOD),
        COMMANDS["sample"],
    ),
]
