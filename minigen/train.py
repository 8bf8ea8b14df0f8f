"""Train a model: ``python -m minigen.train gan``. ``--help`` shows all that can be said."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from . import backend, datasets, distributed, models
from .errors import ConfigError, DataError
from .training import Callback, Trainer, checkpoint, generators, runs, tensorboard
from .training.command import EXIT_CODES, Parser, guarded, seconds, whole
from .training.settings import PARSERS, Settings, read_toml, settle

EXAMPLES = f"""\
settings: the model's own, then those of --config, then those of the command line; the later ones win.
A TOML file may set whatever the model knows (--dry-run shows it), and
{", ".join(PARSERS)}.

examples:
  python -m minigen.train --list                       what can be trained
  python -m minigen.train gan                          digits, about two minutes
  python -m minigen.train gan --steps 500 --out here   shorter, into the folder here
  python -m minigen.train dcgan --data ~/fashion --budget 10m
  python -m minigen.train --resume runs/gan-1          go on where a run was interrupted
  python -m minigen.train --resume runs/gan-1 --steps 8000
  mpirun -n 4 python -m minigen.train dcgan --distributed

{EXIT_CODES}"""

NEXT = {
    "image": "-n 64 --seed 1 --out grid.png",
    "points": "-n 2000 --out points.png",
    "text": "--length 500 --temperature 0.8",
    "pairs": "--prompt TEXT",
    "music": "--bars 8 --temperature 0.9 --out new.mid",
    "audio": "--seconds 1 --temperature 0.9 --out new.wav",
}  # what to try after a training, by modality


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    return guarded("minigen.train", _main, argv)


def parser() -> Parser:
    """What the command line understands."""
    p = Parser(prog="python -m minigen.train", description="Train a generative model.", epilog=EXAMPLES)
    p.add_argument("model", nargs="?", metavar="MODEL", help="one of: " + ", ".join(models.names()))
    p.add_argument("--list", action="store_true", help="list the models, and leave")

    g = p.add_argument_group("what is trained (default: as the model's preset says)")
    known = "; ".join(f"{kind}: {', '.join(datasets.available_sets(kind))}" for kind in datasets.KINDS)
    g.add_argument("--data", "--text", metavar="NAME|PATH", help=f"{known}; or your own files")
    g.add_argument("--steps", type=whole(1), metavar="N", help="how many steps in all")
    g.add_argument("--batch-size", type=whole(1), metavar="N", help="items in each step")
    g.add_argument("--lr", type=float, metavar="X", help="learning rate")
    g.add_argument("--loss", metavar="NAME", help="which loss, where the model has several")
    g.add_argument("--config", metavar="FILE.toml", help="settings from a file")

    g = p.add_argument_group("how it runs")
    g.add_argument("--seed", type=whole(0), metavar="N", help="same seed, same numbers (default: 0)")
    g.add_argument("--backend", metavar="NAME", help=f"auto, {', '.join(backend.BACKENDS)} (default: auto)")
    g.add_argument("--distributed", action="store_true", help="share each batch with the processes of one mpirun")
    g.add_argument("--budget", type=seconds, metavar="TIME", help="stop after 90s, 2m, 1h, if steps are left by then")
    g.add_argument("--dry-run", action="store_true", help="do three steps, keep nothing, say what would be done")

    g = p.add_argument_group("what is written")
    g.add_argument("--out", metavar="DIR", help="the run's folder, new or empty (default: runs/MODEL-1, -2, ...)")
    g.add_argument("--resume", metavar="RUN", help="go on with the run in this folder, bit for bit")
    g.add_argument("--tensorboard", action="store_true", help="also write event files for TensorBoard")
    return p


def _main(argv: Sequence[str] | None) -> int:
    if "--distributed" in (sys.argv[1:] if argv is None else argv):
        distributed.start()  # before anything can fail: of an error that is everybody's one process speaks
        if distributed.size() == 1:
            print("--distributed: there is one process; mpirun -n 4 before the command starts four.")
        elif distributed.rank():
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    arguments = parser().parse_args(argv)
    if arguments.list:
        return _list()
    if arguments.tensorboard:
        tensorboard.check_installed()
    plan = resumed(arguments) if arguments.resume else planned(arguments)
    with backend.use(plan.settings.backend or backend.current()), ExitStack() as stack:
        return _train(plan, arguments, stack)


def _list() -> int:
    width = max(map(len, models.names()))
    for name, title in models.describe().items():
        c = models.config(name)
        print(f"{name.ljust(width)}  {title}")
        print(f"{' ' * width}  {c.steps} steps of {c.batch_size}, learning rate {c.lr:g}, data: {c.data}")
    return 0


# -- what is to be done -----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run to be made, or to go on in `folder`: the model's name, its settings and those of the training."""

    model: str
    config: Any
    settings: Settings
    folder: Path | None = None


def planned(arguments: argparse.Namespace) -> Plan:
    """A new run: the preset's settings, those of --config, those of the command line."""
    if arguments.model is None:
        raise ConfigError(f"which model? Expected one of {', '.join(models.names())}; --help shows how to ask.")
    names = [field.name for field in dataclasses.fields(models.config(arguments.model))]
    values = read_toml(arguments.config) if arguments.config else {}
    for name in ("data", "steps", "batch_size", "lr", "loss", "seed", "backend", "budget"):
        if (value := getattr(arguments, name)) is not None:
            if name not in names and name not in PARSERS:
                raise ConfigError(f"--{name}: the model {arguments.model!r} has no such setting.")
            values[name] = value
    settings, overrides = settle(values, names)
    config = models.config(arguments.model, overrides)
    path = os.path.expanduser(config.data)
    known = datasets.available_sets(config.reads)
    if config.data not in known and os.path.exists(path):  # to be found again from anywhere
        config = dataclasses.replace(config, data=os.path.abspath(path))
    runs.choose(arguments.out, arguments.model)
    return Plan(arguments.model, config, settings.spaced(config.steps))


def resumed(arguments: argparse.Namespace) -> Plan:
    """An earlier run, with more steps or time, or on another backend, if the command line says so."""
    for name in ("data", "batch_size", "lr", "loss", "config", "seed", "out"):
        if getattr(arguments, name) is not None:
            option = name.replace("_", "-")
            raise ConfigError(f"--{option} cannot be changed with --resume; leave it out, or start a new run.")
    folder = Path(os.path.expanduser(arguments.resume))
    saved = runs.read(folder)
    if arguments.model not in (None, saved["model"]):
        raise ConfigError(f"--resume {folder}: the run trains {saved['model']!r}, not {arguments.model!r}.")
    changes = {name: value for name in ("backend", "budget") if (value := getattr(arguments, name)) is not None}
    config = models.config(saved["model"], saved["config"] | ({"steps": arguments.steps} if arguments.steps else {}))
    settings, _ = settle(saved["training"] | changes, ())
    return Plan(saved["model"], config, settings.spaced(config.steps), folder)


# -- doing it ---------------------------------------------------------------------------------------------------------


def _train(plan: Plan, arguments: argparse.Namespace, stack: ExitStack) -> int:
    first = distributed.rank() == 0  # the others compute, and write nothing
    if plan.folder is not None and not arguments.dry_run and first:
        stack.enter_context(runs.locked(plan.folder))
    settings = dataclasses.replace(plan.settings, backend=backend.current())
    dataset = datasets.load_set(plan.config.reads, plan.config.data)
    plan = dataclasses.replace(plan, config=models.learn(plan.model, plan.config))
    model = models.build(plan.model, dataclasses.asdict(plan.config), rng=generators(settings.seed)["weights"])
    trainer = Trainer(
        model, model.prepare(dataset), batch_size=plan.config.batch_size, seed=settings.seed,
        log_every=settings.log_every, save_every=settings.save_every, keep=settings.keep,
        held_out=held_out(plan.config, model),
    )  # fmt: skip
    if plan.folder is not None and runs.begun(plan.folder):
        trainer.restore(checkpoint.load(plan.folder))
        if trainer.step > plan.config.steps:
            raise ConfigError(
                f"--steps {plan.config.steps}: the run has done {trainer.step} steps already; ask for more."
            )
    begun_at = trainer.step
    config = {
        "model": plan.model,
        "config": dataclasses.asdict(plan.config),
        "training": dataclasses.asdict(settings),
        "dataset": {"name": dataset.name, "items": trainer.batches.n},
        "parameters": sum(t.size for _, t in model.named_parameters()),
    }
    if arguments.dry_run:
        return _dry_run(plan, trainer, config, arguments)
    distributed.wait()  # until nobody looks for a free folder, or reads an earlier run's, any more
    if first:
        if plan.folder is None:
            folder = stack.enter_context(runs.created(arguments.out, plan.model, config))
        else:
            folder = plan.folder
            runs.write(folder, config)
        trainer.folder = folder
        trainer.callbacks = callbacks(folder, model, settings)
        if arguments.tensorboard:
            trainer.callbacks.append(tensorboard.TensorBoard(folder / "tensorboard"))
    _introduce(config, trainer, trainer.folder)
    signal = trainer.run(plan.config.steps, settings.budget or float("inf"))
    if first:
        _conclude(plan, trainer, signal, begun_at)
    return 128 + signal if signal is not None else 0


def held_out(config: Any, model: Any) -> tuple[np.ndarray, ...] | None:
    """What a model of one player is measured on before each checkpoint; None where its data hold nothing out."""
    if len(model.players) > 1:
        return None
    try:
        return model.prepare(datasets.load_set(config.reads, config.data, "test"))
    except DataError:
        return None


def callbacks(folder: Path, model: Any, settings: Settings) -> list[Callback]:
    """What every run writes and shows."""
    from .training.metrics import MetricsLog
    from .training.music import MusicSamples
    from .training.pictures import Curves, ImageSamples, PointSamples
    from .training.progress import progress
    from .training.sounds import SoundSamples
    from .training.texts import PairSamples, TextSamples
    from .training.watch import Watch

    found: list[Callback] = [MetricsLog(folder / "metrics.jsonl"), Curves(folder), progress(), Watch()]
    if model.modality == "image":
        found.append(ImageSamples(folder, settings.sample_every, settings.seed))
    elif model.modality == "points":
        found.append(PointSamples(folder, settings.sample_every, settings.seed))
    elif model.modality == "text":
        found.append(TextSamples(folder, settings.sample_every, settings.seed))
    elif model.modality == "music":
        found.append(MusicSamples(folder, settings.sample_every, settings.seed))
    elif model.modality == "audio":
        found.append(SoundSamples(folder, settings.sample_every, settings.seed))
    elif model.modality == "pairs":
        held_out = datasets.load_set("pairs", model.config.data, "test").pairs[:10]
        found.append(PairSamples(folder, settings.sample_every, settings.seed, held_out))
    return found


def _dry_run(plan: Plan, trainer: Trainer, config: dict[str, Any], arguments: argparse.Namespace) -> int:
    """Three steps with everything that belongs to them, in a folder that is deleted afterwards."""
    _introduce(config, trainer, plan.folder or runs.choose(arguments.out, plan.model))
    for name, value in (config["config"] | config["training"]).items():
        print(f"  {name} = {'…' if isinstance(value, dict) else value}")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="minigen-") as name:
        folder = Path(name)
        settings = dataclasses.replace(plan.settings, sample_every=3)
        trainer.log_every = 1
        if distributed.rank() == 0:
            trainer.folder = folder
            trainer.callbacks = callbacks(folder, trainer.model, settings)
        signal = trainer.run(trainer.step + 3)
    if signal is not None:
        return 128 + signal
    print("dry run: three steps, samples, curves and a checkpoint went well; nothing was kept.")
    return 0


def _introduce(config: dict[str, Any], trainer: Trainer, folder: Path) -> None:
    model, c, settings, dataset = (config[part] for part in ("model", "config", "training", "dataset"))
    players = ", ".join(f"{p.name} {sum(t.size for t in p.parameters):,}" for p in trainer.model.players)
    lines = {
        "model": f"{model}: {models.describe()[model]}",
        "parameters": f"{config['parameters']:,} ({players})",
        "data": f"{dataset['name']}, {dataset['items']:,} items",
        "training": f"step {trainer.step} to {c['steps']}, {c['batch_size']} items each; seed {settings['seed']}",
        "backend": settings["backend"],
        "folder": folder,
    } | getattr(trainer.model, "about", {})
    if distributed.size() > 1:
        lines["processes"] = f"{distributed.size()}, to which each batch is shared out"
    for name, value in lines.items():
        print(f"{name:<11} {value}")
    sys.stdout.flush()


def _conclude(plan: Plan, trainer: Trainer, signal: int | None, begun_at: int) -> None:
    folder, steps = trainer.folder, f"{trainer.step} of {plan.config.steps} steps in {trainer.seconds:.1f} s"
    finished = trainer.step >= plan.config.steps
    if signal is not None:
        print(f"interrupted after {steps}; everything is saved. Go on with:")
        print(f"  python -m minigen.train --resume {folder}")
        return
    if trainer.step == begun_at:
        print(f"nothing was left to do; ask for more with {'--steps' if finished else '--budget'}.")
    print(f"{'done' if finished else 'time is over'}: {steps}. The run is in")
    print(f"  {folder}")
    print("which holds config.json, metrics.jsonl, curves.png, samples and a checkpoint. Draw from it with:")
    print(f"  python -m minigen.sample {folder} {NEXT[trainer.model.modality]}")
    best = checkpoint.best(folder)
    if best is not None and best[0] != trainer.step:
        print(f"On held-out data the checkpoint of step {best[0]} was better (loss {best[1]:.4g}); --best takes it.")


if __name__ == "__main__":
    sys.exit(main())
