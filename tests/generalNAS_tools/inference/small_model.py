"""A small searched network on disk, and its answers by plain forward passes of letters."""

import functools

import numpy as np
import torch

from generalNAS_tools.files.checkpoints import save_weights
from generalNAS_tools.files.model_files import describe
from generalNAS_tools.load_model import load_model
from generalNAS_tools.networks.final_network import FinalNetwork
from generalNAS_tools.networks.frame import NetworkOptions
from tests.data_generators.own_data import make
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE

SEQ_SIZE, TARGETS = 40, ["one", "two", "three"]
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def write_model(path, *, network=None, seq_size=SEQ_SIZE, targets=TARGETS):
    """Writes a network of the `frame`."""
    state = {"trained": {}, "weights": (network or strong_network()).state_dict()}
    save_weights(path, describe(EXAMPLE, frame(seq_size, targets)) | state | {"targets": targets})
    return path


def frame(seq_size, targets):
    return NetworkOptions(seq_size, len(targets), 2, 2)


@functools.cache
def strong_network():
    """One whose answers differ strongly between sequences."""
    torch.manual_seed(0)
    network = FinalNetwork(EXAMPLE, frame(SEQ_SIZE, TARGETS))
    with torch.no_grad():
        for _ in range(40):  # the running statistics follow
            x = torch.eye(4)[torch.randint(4, (64, SEQ_SIZE))].transpose(1, 2)
            network(x)
        head = network.network.head[-1]
        head.weight *= 1000
        head.bias -= network.eval()(x).logits.mean(0)
    return network


def logits(path, texts):
    """(N, targets) of sequences of letters; any other letter than A, C, G, T is four zeros."""
    x = torch.tensor([[[float(letter == base) for letter in t] for base in "ACGT"] for t in texts])
    with torch.no_grad():
        return load_model(path)(x).double().numpy()


def probabilities(path, texts, *, both=False):
    """(N, targets), averaged over the strands if `both`."""
    forward = 1 / (1 + np.exp(-logits(path, texts)))
    if not both:
        return forward
    return (forward + probabilities(path, [t.translate(COMPLEMENT)[::-1] for t in texts])) / 2


def run(script, *line):
    """Runs one of the scripts that use a network."""
    return make("--device=cpu", *line, script=f"generalNAS_tools/{script}.py")


def read_tsv(path):
    """Rows as dicts of texts."""
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


def refused(folder, outcome):
    """The one line that a script says that writes nothing."""
    assert outcome.code == 2, outcome
    assert "Traceback" not in outcome.stderr
    assert not list(folder.rglob("*.part"))
    assert not list(folder.glob("out*"))
    return outcome.stderr.splitlines()[-1]
