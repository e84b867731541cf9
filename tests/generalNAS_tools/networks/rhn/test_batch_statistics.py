"""A supernet's RHN in evaluation mode, normalised by the evaluated batch."""

import numpy as np
import pytest
import torch

from generalNAS_tools.networks.rhn.cells import SearchRHN
from generalNAS_tools.search_space.edge_masks import masks_from_genotype
from generalNAS_tools.search_space.mixing import mask_mixing
from generalNAS_tools.training.train_loop import rhn_batch_statistics
from randomSearch_and_Hyperband_Tools.random_genotypes import distinct_genotypes


def last_states(genotype, *, hidden=64, steps=24, batch=32):
    """Standard deviation of h at the last step: training, evaluation by batch, by running ones."""
    torch.manual_seed(0)
    masks = masks_from_genotype(genotype)
    cell = SearchRHN(hidden, masks.rnn)
    mixing = mask_mixing(masks, torch.device("cpu")).rnn
    x, deviations = torch.rand(steps, batch, hidden), []
    with torch.no_grad():
        for _ in range(3):  # 72 updates, after which running statistics have settled
            trained = cell(x, mixing)
        deviations.append(trained[-1].std().item())
        before = {name: value.clone() for name, value in cell.state_dict().items()}
        cell.eval()
        with rhn_batch_statistics(cell, True):
            by_batch = cell(x, mixing)
        assert torch.equal(by_batch, trained)
        for name, value in cell.state_dict().items():
            assert torch.equal(value, before[name]), name
        deviations.append(by_batch[-1].std().item())
        deviations.append(cell(x, mixing)[-1].std().item())
    return deviations


def test_evaluation_has_the_spread_of_training():
    """By running statistics the states of some architectures explode, as in 2021."""
    found = [last_states(genotype) for genotype in distinct_genotypes(np.random.default_rng(0), 50)]
    trained, by_batch, running = np.array(found).T
    assert (np.abs(np.log(by_batch / trained)) < np.log(1.5)).all()
    assert (np.abs(np.log(running / trained)) > np.log(1.5)).any()


def test_one_sequence_has_no_statistics():
    cell = SearchRHN(4, np.ones((36, 5), dtype=bool)).eval()
    x, mixing = torch.rand(3, 1, 4), torch.rand(36, 5)
    assert cell(x, mixing).isfinite().all()
    with (
        rhn_batch_statistics(cell, True),
        pytest.raises(ValueError, match="a batch of 1 has no batch statistics; expected 2"),
    ):
        cell(x, mixing)
