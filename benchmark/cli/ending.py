"""How a verb ends that is interrupted."""

from __future__ import annotations

import typer

from benchmark.cli.options import errors


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a queue or a container sends it: what an interrupt ends, it ends too."""


def ended(interrupt: KeyboardInterrupt, goes_on: str = "resumes from the last checkpoints") -> typer.Exit:
    """The exit after a word on what the same command does next: 143 after SIGTERM, 130 after an interrupt."""
    terminated = isinstance(interrupt, Terminated)
    errors.print(f"{'ended by SIGTERM' if terminated else 'interrupted'}; the same command {goes_on}")
    return typer.Exit(143 if terminated else 130)
