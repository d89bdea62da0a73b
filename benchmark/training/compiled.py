"""The compiled step: energies and forces as one function that torch compiles, checked against the eager one.

Only training steps are compiled. Validation and the errors of records are always computed eagerly, so that a record's
numbers never depend on a compiler; the weights do, in the last bits that training then amplifies.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs
import torch
from torch import Tensor

from reports.records.atomic import read_json, write_json
from tasks.models.base import Potential
from tasks.models.graph import EDGES, POINTERS, SHIFTS, Graph, GraphPotential, samples_of

Way = Literal["eager", "compiled"]
"""How a fit's training steps are computed; the values of a record's column ``computed``."""

TOLERANCE = 1e-3
"""How far compiled energies, forces and gradients of parameters may be from eager ones, relative to the largest of
each: sums of float32 in another order are off by some 1e-6, second derivatives of deep networks by up to 1e-4."""

CACHE_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"

Inputs = tuple[Tensor, Tensor, Tensor, int, Graph, Tensor | None, dict[str, Tensor]]
"""What ``GraphPotential.predict`` takes."""


@dataclass(frozen=True)
class Computed:
    """How a fit is computed, why not compiled if not; what compiling and checking took, s; eager over compiled time."""

    way: Way
    why: str = ""
    seconds: float = 0.0
    speedup: float = 1.0


class CompiledStep:
    """One of a potential's functions, compiled for batches of any size.

    Batches of another sort than the first one (a single sample, no edges) are computed eagerly: the compiler would make
    a function of their own for each.

    Args:
        potential: whose function it is; its weights may change.
        name: ``predict`` or ``displace``.
        backend: torch's name of the compiler.
    """

    def __init__(self, potential: GraphPotential, name: str, backend: str = "inductor") -> None:
        self._potential = potential
        self.eager: Callable[..., Any] = getattr(potential, name)
        self._compiled = torch.compile(self.eager, dynamic=True, backend=backend)
        self._single: bool | None = None

    def __call__(self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor]) -> Any:
        """What the function returns for a batch; see ``GraphPotential.forward``."""
        inputs = self.inputs(z, pos, batch, box, extra_args)
        return self._compiled(*inputs) if self.takes(inputs) else self.eager(*inputs)

    def inputs(
        self, z: Tensor, pos: Tensor, batch: Tensor, box: Tensor | None, extra_args: dict[str, Tensor]
    ) -> Inputs:
        """The function's arguments; neighbours are searched if the batch has no graph."""
        graph = self._potential.graph(pos, batch, box, extra_args)
        seen = {name: value for name, value in extra_args.items() if name not in (EDGES, SHIFTS, POINTERS)}
        return z, pos, batch, samples_of(batch, box, extra_args), graph, box, seen

    def takes(self, inputs: Inputs) -> bool:
        """Whether a batch is of the sort that was compiled."""
        _, pos, _, samples, graph, _, _ = inputs
        usual = len(pos) > 1 and graph.edges.shape[1] > 1
        return self._potential.training and usual and self._single in (None, samples == 1)

    def check(self, inputs: Inputs) -> str | None:
        """Compile, and compare with the eager function on a batch; what differs, in words, or None.

        Weights, buffers and gradients are left as they were.
        """
        if not self.takes(inputs):
            return "the first batch is a single atom or has no edges"
        self._single = inputs[3] == 1
        eager = self._results(self.eager, inputs)
        with _sizes_kept_apart():
            compiled = self._results(self._compiled, inputs)
        return disagreement(eager, compiled)

    def measure(self, inputs: Inputs) -> float:
        """Time of an eager step over that of a compiled one: medians, in alternation, three of each."""
        seconds: dict[bool, list[float]] = {True: [], False: []}
        for compiled in [True, False] * 3:
            started = time.perf_counter()
            found = self._results(self._compiled if compiled else self.eager, inputs)
            float(found["output 0"].sum())  # waits for the device
            seconds[compiled].append(time.perf_counter() - started)
        return statistics.median(seconds[False]) / statistics.median(seconds[True])

    def _results(self, function: Callable[..., Any], inputs: Inputs) -> dict[str, Tensor]:
        """Outputs and gradients of a fixed function of them, by name; buffers (running means) stay as they are."""
        buffers = [buffer.clone() for buffer in self._potential.buffers()]
        outputs = function(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        named = [(name, weight) for name, weight in self._potential.named_parameters() if weight.requires_grad]
        total = sum(output.square().mean() for output in outputs)
        gradients = torch.autograd.grad(total, [weight for _, weight in named], allow_unused=True)
        with torch.no_grad():
            for buffer, before in zip(self._potential.buffers(), buffers, strict=True):
                buffer.copy_(before)
        found = {f"output {number}": output.detach() for number, output in enumerate(outputs)}
        pairs = zip(named, gradients, strict=True)
        return found | {f"gradient of {name}": value for (name, _), value in pairs if value is not None}


def disagreement(eager: dict[str, Tensor], compiled: dict[str, Tensor]) -> str | None:
    """The first result that differs by more than `TOLERANCE`, in words, or None.

    Gradients are compared with the largest of all gradients: that of a parameter may vanish but for rounding.
    """
    largest = max((float(v.abs().max()) for name, v in eager.items() if name.startswith("gradient")), default=0.0)
    for name, expected in eager.items():
        scale = largest if name.startswith("gradient") else float(expected.abs().max())
        # A gradient that is zero everywhere may be left out by one of the two.
        error = float((compiled.get(name, torch.zeros_like(expected)) - expected).abs().max())
        if not error <= TOLERANCE * max(scale, 1e-12):
            return f"{name} differs from the eager one by {error:.1e}, of {scale:.1e}"
    return None


def compile_step(
    potential: Potential, name: str, function: str, batch: Callable[[], tuple[Any, ...]]
) -> tuple[CompiledStep | None, Computed]:
    """Compile and check a potential's function, or say why not: this never fails for want of a compiler.

    Args:
        potential: in training mode, on its device.
        name: ``predict`` or ``displace``.
        function: under which name the measured gain is kept beside the compiled code; see ``Work.function``.
        batch: gives z, pos, batch, box and extra_args of a batch.
    """
    if not isinstance(potential, GraphPotential):
        return None, Computed("eager", "this network cannot be compiled")
    started = time.perf_counter()
    device = next(potential.parameters()).device.type
    missing = missing_compiler(device)
    if missing is not None:
        return None, Computed("eager", missing)
    from torch._functorch import config as differentiation
    from torch._inductor import config

    use_shared_cache()
    keep_memory()
    # One process compiles: with helpers of its own, each of many workers would start as many.
    config.compile_threads = 1
    # On a CPU a product and what is added to it stay apart: as one operation they cost a copy of what is added.
    config.pattern_matcher = device != "cpu"
    # Of activations that are differentiated twice three derivatives would be kept: they are computed again instead.
    differentiation.aggressive_recomputation = potential.conservative
    step = CompiledStep(potential, name)
    try:
        inputs = step.inputs(*batch())
        wrong = step.check(inputs)
    except Exception as error:  # whatever a compiler may raise, training goes on without it
        wrong = f"the compiler failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    seconds = time.perf_counter() - started
    if wrong is not None:
        return None, Computed("eager", wrong, seconds)
    speedup = step.measure(inputs)
    with contextlib.suppress(OSError):
        write_json(_measured(function), {"seconds": seconds, "speedup": speedup})
    return step, Computed("compiled", seconds=seconds, speedup=speedup)


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
