"""When to stop: durations as people write them, and signals that ask for an end."""

from __future__ import annotations

import re
import signal
import threading
from typing import Any

from ..errors import ConfigError

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def duration(text: str) -> float:
    """Seconds in ``90``, ``90s``, ``2m`` or ``1.5h``. Raises ConfigError for anything else, and for nothing."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", str(text))
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if seconds <= 0:
        raise ConfigError(f"duration: expected a time such as 90s, 2m or 1h, came {text!r}.")
    return seconds


class Interrupt:
    """``with Interrupt() as interrupt:`` the first Ctrl-C or SIGTERM only sets ``interrupt.signal``.

    So a step is finished and saved before the run ends. A second one ends it at once. In another thread than the
    main one, where Python gets no signals, nothing is caught.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: Any) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
