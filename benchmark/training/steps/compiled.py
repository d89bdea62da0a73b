"""The compiled step: energies and forces as one function that torch compiles, checked against the eager one.

Only training steps are compiled. Validation and the errors of records are always computed eagerly, so that a record's
numbers never depend on a compiler; the weights do, in the last bits that training then amplifies.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import platformdirs
import torch
from tqdm import tqdm

from benchmark.training.steps.checked import CheckedStep, Computed, Inputs, try_step
from reports.records.atomic import read_json, write_json
from tasks.models.base import Potential
from tasks.models.graph import GraphPotential

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


class CompiledStep(CheckedStep):
    """A function compiled by torch for batches of any size.

    Batches of another sort than the first one (a single sample, no edges) are computed eagerly: the compiler would make
    a function of their own for each.

    Args:
        potential: see `CheckedStep`.
        name: see `CheckedStep`.
        backend: torch's name of the compiler.
    """

    def __init__(self, potential: GraphPotential, name: str, backend: str = "inductor") -> None:
        super().__init__(potential, name)
        self._compiled = torch.compile(self.eager, dynamic=True, backend=backend)
        self._single: bool | None = None

    def other(self, *inputs: Any) -> Any:
        """See ``CheckedStep.other``."""
        return self._compiled(*inputs)

    def takes(self, inputs: Inputs) -> bool:
        """See ``CheckedStep.takes``."""
        _, pos, _, samples, graph, _, _ = inputs
        usual = len(pos) > 1 and graph.edges.shape[1] > 1
        return self._potential.training and usual and self._single in (None, samples == 1)

    def check(self, inputs: Inputs) -> str | None:
        """Compile, and see ``CheckedStep.check``."""
        if self.takes(inputs):
            self._single = inputs[3] == 1
        with _sizes_kept_apart():
            return super().check(inputs)


def compile_step(
    potential: Potential, name: str, batch: Callable[[], tuple[Any, ...]]
) -> tuple[CheckedStep | None, Computed]:
    """Compile and check a potential's function, or say why not: this never fails for want of a compiler.

    Args:
        potential: in training mode, on its device.
        name: ``predict``, ``displace`` or ``represent``.
        batch: gives z, pos, batch, box and extra_args of a batch.
    """
    if not isinstance(potential, GraphPotential):
        return None, Computed("eager", "this network cannot be compiled")
    device = next(potential.parameters()).device.type
    missing = missing_compiler(device)
    if missing is not None:
        return None, Computed("eager", missing)
    from torch._functorch import config as differentiation
    from torch._inductor import config

    use_shared_cache()
    keep_memory()
    # Torch's compiler makes a progress bar, whose lock is by default shared by processes: a worker that is ended would
    # leave its semaphore behind, which Python warns of at the end of the run.
    tqdm.set_lock(threading.RLock())
    # On a CPU one process compiles: with helpers of its own, each of many workers would start as many. Of a GPU's
    # kernels each is compiled by itself, on the threads that this worker has.
    config.compile_threads = torch.get_num_threads() if device == "cuda" else 1
    # On a CPU a product and what is added to it stay apart: as one operation they cost a copy of what is added.
    config.pattern_matcher = device != "cpu"
    # Of activations that are differentiated twice three derivatives would be kept: they are computed again instead.
    differentiation.aggressive_recomputation = potential.conservative
    return try_step("compiled", lambda: CompiledStep(potential, name), batch)


def write_measured(function: str, computed: Computed) -> None:
    """Keep what a function gained beside compiled code, for estimates.

    Args:
        function: what a step computes; see ``function_of``.
        computed: how, and what it gained.
    """
    use_shared_cache()
    with contextlib.suppress(OSError):
        write_json(_measured(function), {"seconds": computed.seconds, "speedup": computed.speedup})


def read_measured(function: str) -> dict[str, float] | None:
    """``seconds`` and ``speedup`` of a function that was compiled here before with this version of torch."""
    use_shared_cache()
    path = _measured(function)
    return read_json(path, f"delete {path}") if path.exists() else None


def _measured(function: str) -> Path:
    return Path(os.environ.get(CACHE_VARIABLE, tempfile.gettempdir())) / f"measured-{function}-{torch.__version__}.json"


def missing_compiler(device: str) -> str | None:
    """Why nothing can be compiled here, or None if it can."""
    # The compiler's Python side takes a second to import: only fits that use it wait for it.
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler
    from torch.utils._triton import has_triton

    if device == "cuda":
        return None if has_triton() else "there is no Triton"

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        return "there is no C++ compiler"
    return None


def keep_memory() -> None:
    """Let this process keep the memory that it frees, for its next step.

    By default glibc gives that of large tensors back to the system, which has to clear it again for every step: up to a
    third of a step. Other C libraries are left as they are.
    """
    trim_threshold, mmap_threshold = -1, -3  # names of malloc.h
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(mmap_threshold, 2**30)


def use_shared_cache() -> None:
    """Let compiled code be kept in the user's cache, for all processes and later runs, unless another place is set.

    torch locks what it writes there; its default is a folder for temporary files, which a restart may empty.
    """
    if CACHE_VARIABLE in os.environ:
        return
    folder = Path(platformdirs.user_cache_dir("nnp-pretrain-bench")) / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if os.access(folder, os.W_OK):
        os.environ[CACHE_VARIABLE] = str(folder)


@contextlib.contextmanager
def _sizes_kept_apart() -> Iterator[None]:
    """While compiling, sizes that happen to be equal in the first batch are not taken to be equal in all."""
    from torch.fx.experimental import _config as shapes

    before = shapes.use_duck_shape
    shapes.use_duck_shape = False
    try:
        yield
    finally:
        shapes.use_duck_shape = before
