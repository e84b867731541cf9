import pytest
import torch

from generalNAS_tools.networks.rhn import compiled
from generalNAS_tools.runs import arithmetic
from generalNAS_tools.runs.arithmetic import compile_mode, set_arithmetic
from generalNAS_tools.runs.options import RunOptions

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_tensor_float_is_off_unless_asked_for():
    """torch's convolutions would use it."""
    backends = torch.backends
    for allowed in (True, False):
        set_arithmetic(RunOptions(tf32=allowed), CPU)
        assert backends.cuda.matmul.allow_tf32 is backends.cudnn.allow_tf32 is allowed
        parts = (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn)
        assert {part.fp32_precision == "tf32" for part in parts} == {allowed}
        with backends.cudnn.flags():  # as torch.export asks; it knows the old flag alone
            pass
    assert not RunOptions().tf32


@pytest.mark.parametrize(
    ("choice", "device", "mode"),
    [("auto", CPU, "off"), ("auto", CUDA, "on"), ("on", CPU, "on"), ("off", CUDA, "off")],
)
def test_compiling_is_for_gpus_unless_asked_for(choice, device, mode):
    run = RunOptions(compile=choice)
    assert compile_mode(run, device) == mode
    set_arithmetic(run, device)
    assert compiled.in_use() == (mode == "on")
    compiled.use(False)


@pytest.fixture
def times(monkeypatch):
    """Says how long products take, and keeps what was asked for."""

    def taking(ratio):
        asked = []

        def seconds(dtype):
            asked.append(dtype)
            return ratio if dtype is torch.bfloat16 else 1.0

        monkeypatch.setattr(arithmetic, "_seconds", seconds)
        return asked

    return taking


@pytest.mark.parametrize(("ratio", "warned"), [(0.5, False), (3.9, False), (51.2, True)])
def test_one_warning_where_bfloat16_is_imitated(times, caplog, ratio, warned):
    times(ratio)
    set_arithmetic(RunOptions(amp=True), CPU)
    expected = ["--amp: bfloat16 takes 51 times as long as float32 on this processor, leave it out"]
    assert caplog.messages == expected * warned


@pytest.mark.parametrize(("amp", "device"), [(False, CPU), (True, CUDA)])
def test_nothing_is_measured_where_it_does_not_matter(times, amp, device):
    asked = times(99.0)
    set_arithmetic(RunOptions(amp=amp, compile="off"), device)
    assert asked == []


def test_a_measured_product_takes_no_random_numbers():
    before = torch.get_rng_state()
    assert arithmetic._seconds(torch.bfloat16) > 0
    assert torch.equal(torch.get_rng_state(), before)
