"""Weights on disk: each file says whose they are, and is read only if it is whole and of the job that asks."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from reports.records.atomic import RecordError, replacing

KEY = "nnp_bench_key"
"""Entry of a checkpoint, and of pretrained weights, with the key of the job that made them."""


def write_weights(state: dict[str, Any], path: Path, key: str) -> None:
    """Write the state of a potential, whole or not at all."""
    with replacing(path, durable=True) as temporary:
        torch.save({KEY: key, "state_dict": state}, temporary)


def read_weights(path: Path, key: str, remedy: str) -> dict[str, Any]:
    """The content of a checkpoint or of pretrained weights, on the CPU; `state_dict` is among it.

    Args:
        path: the file.
        key: of the job that must have made it.
        remedy: what to do about a file that is refused.

    Raises:
        RecordError: if it is missing, damaged or of another job.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()  # torch itself does not compare the checksums
        content = None if wrong else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise RecordError(f"{path} is missing: {remedy}") from error
    except Exception as error:  # zipfile and torch raise anything; torch's texts advise to load such a file unsafely
        raise RecordError(f"{path} cannot be read, it is damaged ({type(error).__name__}): {remedy}") from error
    if wrong:
        raise RecordError(f"{path} is damaged, {wrong} has another checksum: {remedy}")
    if not isinstance(content, dict) or not isinstance(content.get("state_dict"), dict):
        raise RecordError(f"{path} holds no weights: {remedy}")
    if content.get(KEY) != key:
        owner = f"of job {content[KEY]}" if KEY in content else "without the key of a job"
        raise RecordError(f"{path} holds weights {owner}, those of {key} were expected: {remedy}")
    return content
