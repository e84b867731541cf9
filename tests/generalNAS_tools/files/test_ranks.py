"""What a rank can do by itself; tests/scripts/test_ranks.py runs several."""

import logging

import pytest
import torch

from generalNAS_tools.files import ranks
from generalNAS_tools.files.atomic_files import write_array


@pytest.fixture
def as_rank(monkeypatch):
    """Makes this process believe that it is a rank of several."""

    def pretend(number, count):
        monkeypatch.setattr(ranks, "number", lambda: number)
        monkeypatch.setattr(ranks, "count", lambda: count)
        ranks.check_shares.cache_clear()

    yield pretend
    ranks.check_shares.cache_clear()


@pytest.mark.parametrize(("length", "count"), [(8, 2), (8, 3), (64, 5), (2, 3), (0, 2)])
def test_shares_are_even_and_in_order(length, count, as_rank):
    shares = []
    for number in range(count):
        as_rank(number, count)
        shares.append(ranks.share(torch.arange(length)))
        assert shares[-1].tolist() == list(ranks.share(range(length)))
    assert torch.cat(shares).tolist() == list(range(length))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_only_rank_keeps_everything():
    tensor = torch.tensor([1.0, 2.0])
    ranks.add_up([tensor], 0.5)
    ranks.copy_first([tensor])
    ranks.check_same(7, "nothing")
    ranks.check_shares(2)
    assert tensor.tolist() == [1.0, 2.0]
    assert ranks.share([1, 2, 3]) == [1, 2, 3]
    assert ranks.gather(tensor) is tensor
    assert ranks.largest(3) == 3
    assert ranks.value_of_first({"a": (1, 2)}) == {"a": (1, 2)}
    assert ranks.own_device("cuda") == "cuda"


def test_every_rank_and_step_has_masks_of_its_own(as_rank):
    def draws(number, *where):
        as_rank(number, 3)
        ranks.seed_others(*where)
        return tuple(torch.rand(4).tolist())

    places = [(1, 0, 0, 0), (2, 0, 0, 0), (1, 0, 0, 1), (1, 0, 1, 0), (1, 1, 0, 0)]
    assert len({draws(*place) for place in places}) == len(places)
    assert draws(1, 0, 2, 5) == draws(1, 0, 2, 5)
    torch.manual_seed(3)
    first = torch.rand(4).tolist()
    torch.manual_seed(3)
    assert list(draws(0, 0, 0, 0)) == first


def test_small_shares_are_refused_or_warned_of_once(as_rank, caplog):
    caplog.set_level(logging.WARNING)
    as_rank(0, 4)
    ranks.check_shares(64)
    assert not caplog.records
    ranks.check_shares(63)
    ranks.check_shares(63)
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "a batch of 63 leaves 15 sequences a rank"
    ]
    with pytest.raises(ValueError, match="a batch of 7 on 4 ranks: expected 2 sequences a rank"):
        ranks.check_shares(7)


def test_rank_0_alone_writes(as_rank, tmp_path):
    for number, exists in ((1, False), (0, True)):
        as_rank(number, 2)
        write_array(tmp_path / "a.npy", [1, 2])
        assert (tmp_path / "a.npy").exists() is exists
    assert len(list(tmp_path.iterdir())) == 1
