"""The compiled step: the eager one's numbers for batches of all sizes, and a way back where there is no compiler."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch
from tqdm import tqdm
from tqdm.std import TqdmDefaultWriteLock

from benchmark.training.steps import compiled
from benchmark.training.steps.checked import Computed
from benchmark.training.steps.compiled import CompiledStep, read_measured
from benchmark.training.steps.prepare import prepare_step
from tasks.models.egnn import EGNN
from tasks.options.models import EGNNConfig
from tests.tasks.conftest import make_water
from tests.tasks.models.conftest import build

NETWORKS = pytest.mark.parametrize("case", ["egnn", "gns", "forcenet"])


def arguments(*sizes: int, dtype=torch.float64, labels=None):
    """z, pos, batch, box and extra_args of a batch of water of so many molecules each."""
    batch = Batch.from_data_list([make_water(size, seed, 7.0, dtype) for seed, size in enumerate(sizes)])
    extra = {"ptr": batch.ptr} if labels is None else {"ptr": batch.ptr, "mask_label": labels(batch.z)}
    return batch.z, batch.pos, batch.batch, batch.box, extra


@pytest.fixture
def potential() -> EGNN:
    torch.manual_seed(7)
    return EGNN(EGNNConfig(hidden=6, layers=2)).train()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own."""
    monkeypatch.setenv(compiled.CACHE_VARIABLE, str(tmp_path))


@pytest.fixture
def pretend(monkeypatch):
    """Put a function of the eager function in the place of torch's compiler."""

    def replace(make):
        monkeypatch.setattr(torch, "compile", lambda function, **options: make(function))

    return replace


@pytest.mark.slow
@NETWORKS
def test_physics_of_the_traced_step(case):
    """Traced with dynamic sizes and differentiated twice, but run by torch: compiled code is checked at each start."""
    torch._dynamo.reset()
    potential = build(case).train()
    step = CompiledStep(potential, "predict", backend="aot_eager")
    assert step.check(step.inputs(*arguments(8, 5))) is None
    torch._dynamo.utils.counters.clear()
    for sizes in [(5, 8), (3, 4, 6), (8, 8), (2, 2, 2, 1, 7)]:
        inputs = step.inputs(*arguments(*sizes))
        for one, other in zip(
            step._results(step._compiled, inputs).items(), step._results(step.eager, inputs).items(), strict=True
        ):
            assert one[0] == other[0]
            torch.testing.assert_close(one[1], other[1], rtol=1e-8, atol=1e-8)
    assert torch._dynamo.utils.counters["frames"]["total"] == 0, "another size is no reason to compile again"
    z, pos, batch, box, extra = arguments(5, 8)
    energy, force = step(z, pos, batch, box, extra)
    if case != "forcenet":  # whose running means tie the samples of a training batch
        order = torch.cat([torch.randperm(15), 15 + torch.randperm(24)])
        again, permuted = step(z[order], pos[order], batch, box, extra)
        torch.testing.assert_close(again, energy)
        torch.testing.assert_close(permuted, force[order])
    if potential.conservative:
        shift = torch.zeros_like(pos)
        shift[4, 1] = 1e-5
        above, below = (step(z, pos + sign * shift, batch, box, extra)[0].sum() for sign in (1, -1))
        assert -(above - below).item() / 2e-5 == pytest.approx(force[4, 1].item(), abs=1e-6)


def test_without_a_compiler_the_step_is_eager_with_a_word(potential, monkeypatch):
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def missing():
        raise InvalidCxxCompiler("c++")

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing)
    step, computed = prepare_step(potential, "predict", "f", lambda: arguments(2, 3, dtype=torch.float32))
    assert step is None
    assert (computed.way, computed.why) == ("eager", "there is no C++ compiler")
    assert read_measured("f") is None


def test_a_compiled_step_that_disagrees_is_not_used(potential, pretend):
    pretend(lambda function: lambda *inputs: tuple(1.01 * output for output in function(*inputs)))
    step, computed = prepare_step(potential, "predict", "f", lambda: arguments(2, 3, dtype=torch.float32))
    assert step is None
    assert computed.way == "eager"
    assert "output 0 differs from the eager one" in computed.why


def test_a_compiler_that_fails_stops_nothing(potential, pretend):
    def failing(function):
        def run(*inputs):
            raise RuntimeError("no space left\nand more")

        return run

    pretend(failing)
    step, computed = prepare_step(potential, "predict", "f", lambda: arguments(2, 3, dtype=torch.float32))
    assert step is None
    assert computed.why == "the compiler failed: RuntimeError: no space left"


def test_a_network_that_searches_by_itself_is_not_compiled():
    step, computed = prepare_step(build("tensornet"), "predict", "f", lambda: arguments(2))
    assert step is None
    assert computed.why == "this network cannot be compiled"


def test_the_check_leaves_weights_gradients_and_running_means(pretend):
    potential = build("forcenet").train()
    before = {name: value.clone() for name, value in potential.state_dict().items()}
    pretend(lambda function: function)
    step, computed = prepare_step(potential, "predict", "f", lambda: arguments(2, 3))
    assert step is not None
    assert computed.way == "compiled"
    assert all(torch.equal(value, before[name]) for name, value in potential.state_dict().items())
    assert all(weight.grad is None for weight in potential.parameters())
    assert read_measured("f") == {"seconds": computed.seconds, "speedup": computed.speedup}


def test_batches_of_another_sort_are_computed_eagerly(potential, pretend):
    """One sample where there were several, no edges, evaluation: none of them reaches the compiler."""
    calls = []
    pretend(lambda function: lambda *inputs: calls.append(inputs[3]) or function(*inputs))
    step = CompiledStep(potential.double(), "predict")
    assert step.check(step.inputs(*arguments(2, 3))) is None
    calls.clear()
    step(*arguments(3, 2, 4))
    assert calls == [3]
    step(*arguments(4))
    atom = torch.tensor([8]), torch.zeros(1, 3).double(), torch.tensor([0]), None, {}
    assert step(*atom)[1].shape == (1, 3)
    potential.eval()
    step(*arguments(2, 3))
    assert calls == [3]


def test_the_compilers_progress_bar_shares_no_lock_with_other_processes(potential, pretend, monkeypatch):
    """A worker that is ended would leave the semaphore behind, and Python warn of it after every run."""
    monkeypatch.delattr(tqdm, "_lock", raising=False)
    pretend(lambda function: function)
    prepare_step(potential, "predict", "f", lambda: arguments(2, 3, dtype=torch.float32))
    assert not isinstance(tqdm.get_lock(), TqdmDefaultWriteLock)


def test_freed_memory_is_kept_where_the_c_library_can(monkeypatch):
    asked = []
    library = type("Library", (), {"mallopt": lambda self, option, value: asked.append(option)})
    monkeypatch.setattr(compiled.ctypes, "CDLL", lambda name: library())
    compiled.keep_memory()
    assert asked == [-1, -3]
    monkeypatch.setattr(compiled.ctypes, "CDLL", lambda name: object())
    compiled.keep_memory()


def test_compiled_code_is_kept_in_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv(compiled.CACHE_VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compiled.use_shared_cache()
    from os import environ

    assert environ[compiled.CACHE_VARIABLE] == str(tmp_path / "nnp-pretrain-bench" / "compiled")


def test_where_no_cache_can_be_what_was_measured_is_kept_until_a_restart(monkeypatch, tmp_path):
    monkeypatch.delenv(compiled.CACHE_VARIABLE)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(compiled.tempfile, "tempdir", str(tmp_path))
    compiled.write_measured("f", Computed("compiled", seconds=2.0, speedup=1.5))
    assert read_measured("f") == {"seconds": 2.0, "speedup": 1.5}
    assert len(list(tmp_path.glob("measured-f-*.json"))) == 1
