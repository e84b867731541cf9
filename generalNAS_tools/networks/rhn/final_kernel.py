"""A time step of a final network's RHN, forward and backward: its nodes group by group.

T time steps, B batch, H hidden, m nodes of a group.
"""

from torch import Tensor

from generalNAS_tools.networks.matrix_product import multiply
from generalNAS_tools.networks.rhn.kernels import (
    INITIAL,
    RHNInputs,
    SavedStates,
    highway,
    highway_backward,
)
from generalNAS_tools.networks.rhn.recurrence import Recurrence


class FinalRecurrence(Recurrence):
    """The recurrence of a final network, whose parts are groups."""

    num_scratch = 3

    def __init__(self, inputs: RHNInputs, saved: SavedStates) -> None:
        super().__init__(inputs, saved)
        works = [self.work[:, : group.stop - group.start].unbind() for group in inputs.parts]
        self.groups = list(zip(inputs.parts, inputs.w, saved.nodes, works, strict=True))

    def write_states(self, t: int, previous: Tensor) -> None:
        """As in `Recurrence`."""
        s, inputs = self.saved.states[t], self.inputs
        highway(self.saved.initial[t], previous, INITIAL, out=s[:1], work=self.first)
        for group, w, pre, work in self.groups:
            z, state = pre[t], s[group.state]
            multiply(inputs.feed(state), w, out=z)
            highway(z, state, group.spans, out=s[group.start : group.stop], work=work)

    def back_to_initial(self, t: int) -> Tensor:
        """As in `Recurrence`."""
        s, grads = self.saved.states[t], self.grads
        for group, w, pre, work in reversed(self.groups):
            z, state, target = pre[t], s[group.state], grads[group.state]
            part = grads[group.start : group.stop]
            highway_backward(z, state, group.spans, grad=part, grad_state=target, work=work)
            self.inputs.add_product(target, z, w)
        return grads[:1]
