"""Pairs for translation that are made, not collected: dates and numbers as people write them, and in plain digits.

A date or number belongs either to the training pairs or to the held-out pairs, by a fixed rule that depends on nothing
else, so a model that answers for the held-out ones has learnt the notation and not the answers.
"""

import datetime
from collections.abc import Callable

import numpy as np

from ..errors import ConfigError, DtypeError

FIRST, LAST = datetime.date(1900, 1, 1), datetime.date(2099, 12, 31)
MOST = 1_000_000  # numbers are below this
HELD_OUT = 10  # one in so many days or numbers is held out

# Written out here, since those of strftime change with the user's locale.
_MONTHS = "January February March April May June July August September October November December".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_CHINESE = "〇一二三四五六七八九"


def _ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 4th, …, 11th, …"""
    ending = "th" if n // 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def _chinese_number(n: int) -> str:
    """一 to 三十一, as in days and months."""
    tens, units = divmod(n, 10)
    return ("" if tens == 0 else "十" if tens == 1 else _CHINESE[tens] + "十") + (_CHINESE[units] if units else "")


FORMATS: dict[str, Callable[[datetime.date], str]] = {
    "2026年11月21日": lambda d: f"{d.year}年{d.month}月{d.day}日",
    "二〇二六年十一月二十一日": lambda d: (
        f"{''.join(_CHINESE[int(c)] for c in str(d.year))}年{_chinese_number(d.month)}月{_chinese_number(d.day)}日"
    ),
    "21 Nov 2026": lambda d: f"{d.day} {_MONTHS[d.month - 1][:3]} {d.year}",
    "21-Nov-2026": lambda d: f"{d.day:02}-{_MONTHS[d.month - 1][:3]}-{d.year}",
    "21 November 2026": lambda d: f"{d.day} {_MONTHS[d.month - 1]} {d.year}",
    "Nov 21, 2026": lambda d: f"{_MONTHS[d.month - 1][:3]} {d.day}, {d.year}",
    "November 21, 2026": lambda d: f"{_MONTHS[d.month - 1]} {d.day}, {d.year}",
    "November 21st, 2026": lambda d: f"{_MONTHS[d.month - 1]} {_ordinal(d.day)}, {d.year}",
    "Saturday, 21 November 2026": lambda d: f"{_DAYS[d.weekday()]}, {d.day} {_MONTHS[d.month - 1]} {d.year}",
    "Sat, Nov 21, 2026": lambda d: f"{_DAYS[d.weekday()][:3]}, {_MONTHS[d.month - 1][:3]} {d.day}, {d.year}",
    "2026/11/21": lambda d: f"{d.year}/{d.month}/{d.day}",
    "2026.11.21": lambda d: f"{d.year}.{d.month:02}.{d.day:02}",
    "20261121": lambda d: f"{d.year}{d.month:02}{d.day:02}",
    "11/21/2026": lambda d: f"{d.month}/{d.day}/{d.year}",
    "21/11/2026": lambda d: f"{d.day}/{d.month}/{d.year}",
}
"""Ways to write a date, each under its example."""

_NEEDS_LARGE_DAY = ("11/21/2026", "21/11/2026")  # in 3/4/2026 nobody knows which is the month


def is_unambiguous(name: str, date: datetime.date) -> bool:
    """Whether a reader can tell the month from the day in this date in this format."""
    return name not in _NEEDS_LARGE_DAY or date.day > 12


def is_held_out(n: np.ndarray | int) -> np.ndarray | bool:
    """Whether a number, or the proleptic ordinal of a date, is held out: ⌊2654435761 n / 2¹⁶⌋ mod 10 = 0.

    The factor, 2³² / golden ratio, scatters them (multiplicative hashing, Knuth 1973).
    """
    return (n * 2654435761 >> 16) % HELD_OUT == 0


def date_pairs(n: int, generator: np.random.Generator, *, held_out: bool = False) -> list[tuple[str, str]]:
    """n pairs such as ("Saturday, 21 November 2026", "2026-11-21").

    Days are uniform from 1900 to 2099 among those (not) held out, and the format uniform among those in which the day
    is unambiguous: 11/21/2026 appears, 3/4/2026 does not.
    """
    _check("date_pairs", n, generator)
    days = np.arange(FIRST.toordinal(), LAST.toordinal() + 1)
    days = days[is_held_out(days) == held_out]
    pairs = []
    for day, u in zip(generator.choice(days, n).tolist(), generator.random(n).tolist()):
        date = datetime.date.fromordinal(day)
        names = [name for name in FORMATS if is_unambiguous(name, date)]
        pairs.append((FORMATS[names[int(u * len(names))]](date), date.isoformat()))
    return pairs


_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "? ? twenty thirty forty fifty sixty seventy eighty ninety".split()


def number_words(n: int) -> str:
    """21 -> "twenty-one", 1305 -> "one thousand three hundred and five"        0 ≤ n < 1,000,000"""
    if not 0 <= n < MOST:
        raise ConfigError(f"number_words: expected a number from 0 to {MOST - 1}, came {n}.")
    if n < 20:
        return _UNITS[n]
    if n < 100:
        return _TENS[n // 10] + (f"-{_UNITS[n % 10]}" if n % 10 else "")
    if n < 1000:
        return f"{_UNITS[n // 100]} hundred" + (f" and {number_words(n % 100)}" if n % 100 else "")
    rest = n % 1000
    words = f"{number_words(n // 1000)} thousand"
    return words if not rest else f"{words} and {number_words(rest)}" if rest < 100 else f"{words} {number_words(rest)}"


def number_pairs(n: int, generator: np.random.Generator, *, held_out: bool = False) -> list[tuple[str, str]]:
    """n pairs such as ("twenty-one", "21"): a length of up to 6 digits is drawn, then a number of that length.

    Numbers below 100 are the words that all others are made of, and are never held out.
    """
    _check("number_pairs", n, generator)
    pairs: list[tuple[str, str]] = []
    for digits in generator.integers(3 if held_out else 1, 7, n).tolist():
        number = None
        while number is None or (number >= 100 and is_held_out(number)) != held_out:
            number = int(generator.integers(10 ** (digits - 1) if digits > 1 else 0, 10**digits))
        pairs.append((number_words(number), str(number)))
    return pairs


def _check(function: str, n: int, generator: np.random.Generator) -> None:
    if not isinstance(generator, np.random.Generator):
        raise DtypeError(
            f"{function}: generator is a {type(generator).__name__}, expected a numpy.random.Generator; "
            "make one with np.random.default_rng(seed)."
        )
    if n < 0:
        raise ConfigError(f"{function}: expected n of at least 0, came {n}; choose another.")
