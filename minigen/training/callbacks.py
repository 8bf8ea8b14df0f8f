"""What else happens during training. The loop calls each method of each callback, in order; all do nothing here.

========  ===========================================================================================
start     before the first step of this process, also when a run goes on
step      after every step; must not wait for the device, nor change the model
log       after every ``log_every`` steps and the last, with the values that were read
save      before a checkpoint is written
complete  when all steps are done or the time is over, but not after Ctrl-C
close     at the end, whatever happened
========  ===========================================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .loop import Trainer

Record = dict[str, Any]  # {"step": …, "epoch": …, "seconds": …, then each metric: a number or None}


class Callback:
    """Base of all callbacks."""

    def start(self, trainer: Trainer) -> None: ...
    def step(self, trainer: Trainer) -> None: ...
    def log(self, trainer: Trainer, record: Record) -> None: ...
    def save(self, trainer: Trainer) -> None: ...
    def complete(self, trainer: Trainer) -> None: ...
    def close(self, trainer: Trainer) -> None: ...
