import pytest
import torch

from generalNAS_tools.networks.rhn import compiled
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
