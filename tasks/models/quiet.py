"""Warp, which TorchMD-Net's neighbour search runs on, begun without its greeting."""

from __future__ import annotations

import os
import sys
import tempfile

NO_DRIVER = b"Could not find or load the NVIDIA CUDA driver"
"""Of the line that warp's library prints in every process on a machine without a GPU."""


def begin_warp() -> None:
    """Initialise warp as TorchMD-Net would on import; what it prints on stderr is passed on but for `NO_DRIVER`."""
    import warp

    warp.config.log_level = warp.LOG_ERROR
    sys.stderr.flush()
    # The library writes to the file, past Python. Where there is none (a daemon), nobody is greeted either.
    try:
        before = os.dup(2)
    except OSError:
        return
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            warp.init()
        finally:
            os.dup2(before, 2)
            os.close(before)
            printed.seek(0)
            for line in printed:
                if NO_DRIVER not in line:
                    os.write(2, line)
