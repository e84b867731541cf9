import pytest
import torch

from generalNAS_tools.networks.cnn.convolutions import convolve


@pytest.mark.parametrize(("stride", "length"), [(2, 1), (3, 1), (3, 2), (2, 3), (3, 7)])
def test_bfloat16_of_sequences_shorter_than_the_stride(stride, length):
    """torch's own gradient of the weights is uninitialised memory there."""
    torch.manual_seed(0)
    x, weight = torch.randn(4, length, 6), torch.randn(8, 6, 15, requires_grad=True)
    grads = []
    for dtype in (torch.float32, *[torch.bfloat16] * 5):
        y = convolve(x.to(dtype), weight, stride=stride)
        assert (y.dtype, y.shape) == (dtype, (4, -(-length // stride), 8))
        grads += torch.autograd.grad(y.float().sum(), weight)
    for grad in grads[1:]:
        torch.testing.assert_close(grad, grads[0], rtol=0.02, atol=0.1)
