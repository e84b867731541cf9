"""Small trained models and their files."""

import torch

from baseline_models.networks import build_baseline
from generalNAS_tools.files.checkpoints import save_weights
from generalNAS_tools.files.model_files import describe
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.networks.frame import NetworkOptions
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE

TARGETS = ["one", "two", "three"]


def searched(seq_size):
    """A searched network whose statistics have moved, and what its file says of it."""
    options = NetworkOptions(seq_size, len(TARGETS), 2, 3)
    network = FinalNetwork(EXAMPLE, options)
    with torch.no_grad():
        for weight in network.network.rhn.parameters():
            weight.mul_(10)  # or its gates would hardly move
        network(torch.rand(4, 4, seq_size))
    return network.eval(), describe(EXAMPLE, options)


def baseline(name, seq_size):
    size = {"seq_size": seq_size, "num_targets": len(TARGETS)}
    return build_baseline(name, **size).eval(), {"baseline": name, **size}


def write_model(path, name, seq_size, **more):
    """Writes the file of a baseline or of a searched network, and gives the network."""
    torch.manual_seed(0)
    network, description = searched(seq_size) if name == "searched" else baseline(name, seq_size)
    state = {**description, "trained": {}, "weights": network.state_dict(), **more}
    save_weights(path, state)
    return network


def logits(network, x):
    with torch.no_grad():
        output = network(x)
    return output if isinstance(output, torch.Tensor) else output.logits
