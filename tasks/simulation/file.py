"""The file of a potential: one dictionary of plain values and tensors; loading it runs no code in it."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from tasks.models.base import Potential
from tasks.registry import MODELS, UnknownKindError
from tasks.simulation.card import Card, PotentialError

FORMAT = "nnp-pretrain-bench potential"
VERSION = 1
"""Raised when older programs could no longer read the file rightly."""
ANEW = "Write it anew with `export`"


def write_potential(path: Path, card: Card, weights: dict[str, Tensor], **more: Any) -> None:
    """Write a potential's file.

    Args:
        path: the file; an existing one is replaced.
        card: what it says of the potential.
        weights: the network's state.
        more: further entries, plain values and tensors; older programs pass over them.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    content = {"format": FORMAT, "version": VERSION, "card": card.model_dump(mode="json"), "weights": plain, **more}
    torch.save(content, path)


def read_potential(path: Path) -> tuple[Card, dict[str, Tensor]]:
    """Card and weights of a potential's file; nothing in the file is executed (torch's ``weights_only``).

    Raises:
        PotentialError: for a file that is missing, of another kind, of a later version, or damaged.
    """
    return read_content(path)[:2]


def read_content(path: Path) -> tuple[Card, dict[str, Tensor], dict[str, Any]]:
    """Card and weights of a potential's file, and all its entries as they are.

    Raises:
        PotentialError: see `read_potential`.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")  # a device may have no end
        data = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise ValueError("it is compressed, and may be larger than memory")
            wrong = archive.testzip()  # torch itself does not compare the checksums
        if wrong is not None:
            raise ValueError(f"{wrong} has another checksum")
        content: Any = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise PotentialError(f"{path}: there is no such file. {ANEW}, or correct the path") from error
    except pickle.UnpicklingError as error:
        raise PotentialError(
            f"{path} was not loaded: it is no file of a potential, or holds more than numbers and text, which might "
            f"run as a program. {ANEW}, and take files only from where you trust"
        ) from error
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, ValueError, KeyError) as error:
        raise PotentialError(f"{path} cannot be read as a file of a potential ({_short(error)}). {ANEW}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise PotentialError(
            f"{path} is no file of a potential: it does not say {FORMAT!r}. Give a file that `export` wrote"
        )
    version = content.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise PotentialError(f"{path} has the format version {version!r}; a whole number from 1 was expected. {ANEW}")
    if version > VERSION:
        raise PotentialError(
            f"{path} has format version {version}, and this version of nnp-pretrain-bench reads versions up to "
            f"{VERSION}: use a later one"
        )
    try:
        card = Card.model_validate(content.get("card"))
        card.model_dump_json()  # refuses provenance that is not plain text and numbers
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "card"
        raise PotentialError(f"{path} is damaged ({place}: {first['msg']}). {ANEW}") from error
    except ValueError as error:
        raise PotentialError(f"{path} is damaged (card: {_short(error)}). {ANEW}") from error
    weights = content.get("weights")
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise PotentialError(f"{path} is damaged (weights: a table of tensors was expected). {ANEW}")
    return card, weights, content


def build_network(card: Card, weights: dict[str, Tensor], where: str) -> Potential:
    """The network of a card with its weights, in evaluation.

    Args:
        card: says which.
        weights: its state.
        where: what messages call the source.

    Raises:
        PotentialError: for an architecture that is not known here, or weights that do not fit it or are not finite.
    """
    try:
        cls = MODELS.get(card.network.kind)
        network: Potential = cls(cls.Config(**card.network.options))
        network.load_state_dict(weights)
    except UnknownKindError as error:
        raise PotentialError(f"{where}: {error}. Install the package that adds it") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise PotentialError(
            f"{where}: model {card.network.kind!r} does not take its options here "
            f"({'.'.join(map(str, first['loc']))}: {first['msg']}). Use the version that wrote the file"
        ) from error
    except RuntimeError as error:
        raise PotentialError(
            f"{where}: the weights do not fit model {card.network.kind!r} ({_short(error)})"
        ) from error
    broken = [name for name, tensor in weights.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if broken:
        raise PotentialError(f"{where}: weights {broken[0]!r} are not finite. Export another checkpoint")
    return network.eval()


def _short(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__
