"""What the command lines share: how they parse, fail and end.

=====  ====================================================================================
code   the command
=====  ====================================================================================
0      did what was asked
2      was asked for something impossible, or given something damaged; one sentence says what
3      stopped training because a number became infinite or NaN
130    was ended by Ctrl-C (143: by SIGTERM); what was trained is saved
=====  ====================================================================================
"""

from __future__ import annotations

import argparse
import difflib
import functools
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from .. import distributed
from ..backend import BACKENDS
from ..errors import ConfigError, MinigenError, NonFiniteError
from .stop import duration

HALF = 400  # characters of the beginning and the end of a sentence that are always shown
EXIT_CODES = "exit codes: 0 done, 2 impossible request or damaged input, 3 a number became infinite or NaN, 130 Ctrl-C"


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence, a ConfigError, and whose help shows the examples as written."""

    def __init__(self, **settings: Any):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[:1].lower()}{message[1:]}; --help shows how to ask.")


def run_parser(name: str, description: str, modalities: Iterable[Any]) -> Parser:
    """The parser of a command about a RUN: what all modalities share, then the options of each module of `modalities`.

    Only options that were given, the seed and `best` are attributes of what it parses.
    """
    modules = list(modalities)
    examples = "\n".join(module.EXAMPLES for module in modules)
    p = Parser(
        prog=f"python -m {name}", description=description, argument_default=argparse.SUPPRESS,
        conflict_handler="resolve", epilog=f"examples:\n{examples}\n\n{EXIT_CODES}",
    )  # fmt: skip
    p.add_argument("run", metavar="RUN", help="the folder of a run")
    p.add_argument("--best", action="store_true", default=False, help="not the last checkpoint, but the best")
    p.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of what is drawn (default: 0)")
    p.add_argument("--backend", metavar="NAME", help=f"auto, {', '.join(BACKENDS)} (default: auto)")
    types: dict[str, Any] = {}
    for module in modules:
        group = p.add_argument_group(module.TITLE)
        module.add_options(group)
        for action in group._group_actions:
            for option in action.option_strings:
                if types.setdefault(option, action.type) is not action.type:
                    action.type = types[option] = None  # the parser of the model's own modality will know
    return p


def asked_of(parser: Parser, argv: Sequence[str] | None, model: str) -> argparse.Namespace:
    """What the parser of a model's own modality understands. Raises ConfigError for an option that it has not."""
    asked, foreign = parser.parse_known_args(argv)
    if foreign:
        raise ConfigError(f"{foreign[0]}: {model!r} is no model for this option; --help shows whose it is.")
    return asked


def guarded(name: str, command: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None) -> int:
    """Run a command; what goes wrong is one sentence on standard error and an exit code, never a traceback."""
    if hasattr(sys.stdout, "reconfigure"):  # a name or a text may hold what the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return command(argv)
    except SystemExit as exit:  # --help and --version
        return int(exit.code or 0)
    except KeyboardInterrupt:
        return _say(name, "interrupted.", 130)
    except NonFiniteError as error:
        return _say(name, error, 3)
    except MinigenError as error:
        return _say(name, error, 2)
    except MemoryError as error:
        return _say(name, f"not enough memory ({error}); ask for less at once.", 2)
    except BrokenPipeError:  # the reader of our output went away, as in `| head`
        sys.stderr.close()
        return 141
    except OSError as error:
        return _say(name, f"{error.filename or 'the output'}: {error.strerror or error}.", 2)


def _say(name: str, sentence: object, code: int) -> int:
    """Say why the command ends. Of what all processes have met the first one speaks; one that fails alone ends all."""
    together = distributed.failing()
    if distributed.rank() == 0 or not together:
        text = " ".join(str(sentence).split()).encode(errors="backslashreplace").decode()
        if len(text) > 2 * HALF:  # what came was too long to repeat
            text = f"{text[:HALF]} … {text[-HALF:]}"
        print(f"{name}: {text}", file=sys.stderr, flush=True)
    if not together:
        distributed.abort(code)
    return code


def closest(what: str, name: str, known: Iterable[str]) -> ConfigError:
    """The error for a name that is not known, with the one that was probably meant."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}."
    return ConfigError(f"{what} {name!r} is not known; {guess}")


# -- the types of arguments -------------------------------------------------------------------------------------------


@functools.cache
def whole(least: int) -> Callable[[str], int]:
    """An argument that is a whole number, at least so large."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < least:
            raise argparse.ArgumentTypeError(f"expected a whole number from {least} on, came {text!r}")
        return value

    return parse


@functools.cache
def number(least: float, most: float = math.inf) -> Callable[[str], float]:
    """An argument that is a number, in a range."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most or math.isinf(value):
            to = f"to {most:g}" if most < math.inf else "on"
            raise argparse.ArgumentTypeError(f"expected a number from {least:g} {to}, came {text!r}")
        return value

    return parse


def seconds(text: str) -> float:
    """An argument that is a time: 90s, 2m, 1h."""
    try:
        return duration(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("duration: ").rstrip(".")) from None
