"""Letting go of a fit between two epochs, as a machine's time is up: the job goes on elsewhere, from its checkpoint."""

from __future__ import annotations

import math
import time


class Suspended(SystemExit):
    """There is no time for another epoch; the checkpoint after the last one stands."""


_begins_until = math.inf


def begin_epochs_until(when: float) -> None:
    """From now on, fits of this process begin no epoch after a time, s since 1970; infinity for no limit."""
    global _begins_until
    _begins_until = when


def check_time(epoch: int, epochs: int) -> None:
    """To be called before an epoch, counted from 0, of so many.

    Raises:
        Suspended: if the time is up.
    """
    if time.time() > _begins_until:
        raise Suspended(f"the time of its node was up after epoch {epoch} of {epochs}; it goes on from there")
