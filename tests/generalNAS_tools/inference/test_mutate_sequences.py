import h5py
import matplotlib.image
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from data_generators.planted_motifs import BASES, MOTIFS, draw_sequences
from generalNAS_tools.load_model import load_model
from generalNAS_tools.networks.final_network import FinalNetwork
from tests.data_generators.own_data import random_sequence, write_fasta
from tests.generalNAS_tools.inference.small_model import (
    COMPLEMENT,
    SEQ_SIZE,
    TARGETS,
    frame,
    logits,
    probabilities,
    refused,
    run,
    write_model,
)
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE

pytest.importorskip("pysam")
RNG = np.random.default_rng(0)
SEQUENCES = {"one": random_sequence(RNG, SEQ_SIZE), "two": "N" + random_sequence(RNG, SEQ_SIZE - 1)}


@pytest.fixture
def files(tmp_path):
    write_model(tmp_path / "model.pth")
    write_fasta(tmp_path / "x.fa", SEQUENCES)
    return tmp_path


def mutate(folder, *more, out="out.npz", targets=("two", "0")):
    line = [f"--model={folder / 'model.pth'}", f"--fasta={folder / 'x.fa'}"]
    return run("mutate_sequences", *line, f"--out={folder / out}", "--targets", *targets, *more)


def effects(folder, *more, **options):
    outcome = mutate(folder, "--pictures=0", *more, **options)
    assert outcome.code == 0, outcome.stderr
    with np.load(folder / "out.npz", allow_pickle=False) as table:
        return dict(table)


def mutants(text):
    """Every mutant of a text with the base's row and its place, the text itself among them."""
    for row, base in enumerate("ACGT"):
        for place in range(len(text)):
            yield row, place, text[:place] + base + text[place + 1 :]


@pytest.mark.parametrize("both", [False, True])
def test_equals_direct_forward_passes_of_all_mutants(files, both):
    found = effects(files, f"--average_strands={both}", "--batch_size=50")
    assert found["effect"].shape == (2, 2, 4, SEQ_SIZE)
    assert found["targets"].tolist() == ["two", "one"]
    assert found["sequence"].tolist() == list(SEQUENCES)
    assert found["bases"].tolist() == list(SEQUENCES.values())
    for number, text in enumerate(SEQUENCES.values()):
        rows, places, texts = zip(*mutants(text), strict=True)
        odds = [
            np.log(p / (1 - p))[:, [1, 0]]
            for p in (probabilities(files / "model.pth", t, both=both) for t in ([text], texts))
        ]
        expected = (odds[1] - odds[0]).T
        np.testing.assert_allclose(
            found["effect"][number][:, rows, places], expected, rtol=1e-3, atol=1e-4
        )
        own = ["ACGT".find(letter) for letter in text]
        assert (found["effect"][number][:, own[1:], range(1, SEQ_SIZE)] == 0).all()
    assert np.abs(found["effect"]).max() > 0.5


def test_hdf5_holds_the_same(files):
    expected = effects(files)
    assert mutate(files, "--pictures=0", out="out.h5").code == 0
    with h5py.File(files / "out.h5") as table:
        np.testing.assert_array_equal(table["effect"][()], expected["effect"])
        assert table["bases"].asstr()[()].tolist() == list(SEQUENCES.values())


def test_equals_tangermeme_s_saturation_mutagenesis(files):
    tangermeme = pytest.importorskip("tangermeme.saturation_mutagenesis")
    model, text = load_model(files / "model.pth"), SEQUENCES["one"]
    x = torch.tensor([[[float(letter == base) for letter in text] for base in "ACGT"]])
    before, after = tangermeme.saturation_mutagenesis(model, x, raw_outputs=True, device="cpu")
    expected = (after - before[:, None, None]).movedim(-1, 1).numpy()
    found = effects(files, targets=TARGETS)["effect"][:1]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_picture_per_target_of_the_first_windows(files):
    write_fasta(files / "x.fa", {"a/b": SEQUENCES["one"], "a_b": SEQUENCES["two"]})
    assert mutate(files, "--span=20").code == 0
    pictures = sorted(path.name for path in files.glob("*.png"))
    assert pictures == ["out-0-0-a_b-0-one.png", "out-0-1-a_b-0-two.png"]
    narrow = matplotlib.image.imread(files / pictures[0]).shape
    assert mutate(files, "--span=500", "--pictures=9").code == 0
    assert len(list(files.glob("*.png"))) == 4
    assert matplotlib.image.imread(files / pictures[0]).shape[1] > narrow[1]


@pytest.mark.parametrize(
    ("stem", "name"),
    [("out", "é" * 150), ("é" * 95, "a"), ("o" * 210, "a"), ("\udcff", "a")],
    ids=["sequence", "accents", "file", "bytes"],
)
def test_long_names_have_a_picture_each(files, stem, name):
    write_fasta(files / "x.fa", {name: SEQUENCES["one"], f"{name}2": SEQUENCES["two"]})
    assert mutate(files, "--pictures=2", out=f"{stem}.npz").code == 0
    pictures = [path.name for path in files.glob("*.png")]
    assert len(pictures) == 4
    assert max(len(picture.encode()) for picture in pictures) <= 204


@pytest.mark.parametrize(
    ("content", "more", "message"),
    [
        (None, ["--out=out.tsv"], "out.tsv: no table of lines; expected a file .npz, .h5 or .hdf5"),
        (None, ["--targets", "four"], "--targets four: "),
        (b"", [], "x.fa: no sequence in it"),
        (b">a\nACGT\n", [], "x.fa: a has 4 bp; the model takes 40 bp"),
        (b">a\n" + b"A" * 39 + b"!\n", [], "sequence a has a letter that is no base at"),
    ],
)
def test_bad_input_is_one_line(files, content, more, message):
    if content is not None:
        (files / "x.fa").write_bytes(content)
    assert message in refused(files, mutate(files, *more))


def test_targets_must_be_chosen(files):
    line = [f"--model={files / 'model.pth'}", f"--fasta={files / 'x.fa'}"]
    outcome = run("mutate_sequences", *line, f"--out={files / 'out.npz'}")
    assert "--targets: expected at least one" in refused(files, outcome)


def trained_network(motif, *, seq_size=100, steps=80):
    """A searched network that has learned to tell whether a motif is there."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    codes, present = draw_sequences(rng, 64 * steps, seq_size)
    labels = torch.tensor(present[:, [list(MOTIFS).index(motif)]], dtype=torch.float32)
    network = FinalNetwork(EXAMPLE, frame(seq_size, [motif]))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    table = torch.eye(5, 4)
    for start in range(0, len(codes), 64):
        batch = torch.from_numpy(codes[start : start + 64]).long()
        output = network(table[batch].transpose(1, 2)).logits
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            output, labels[start : start + 64]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def test_finds_the_planted_motif(tmp_path, record_property):
    """The places whose bases are needed most are those of the motif that was planted."""
    motif, seq_size = "REST", 100
    consensus = MOTIFS[motif]
    strands = (consensus, consensus.translate(COMPLEMENT)[::-1])
    network = trained_network(motif, seq_size=seq_size)
    write_model(tmp_path / "model.pth", network=network, seq_size=seq_size, targets=[motif])
    codes, present = draw_sequences(np.random.default_rng(1), 600, seq_size)
    texts = ["".join(np.array([*BASES, "N"])[row]) for row in codes]
    planted = [t for t in texts if sum(strand in t for strand in strands) == 1][:10]
    is_planted = present[:, list(MOTIFS).index(motif)]
    assert roc_auc_score(is_planted, logits(tmp_path / "model.pth", texts)) > 0.95
    write_fasta(tmp_path / "x.fa", {f"s{i}": text for i, text in enumerate(planted)})
    found = effects(tmp_path, targets=[motif])["effect"][:, 0]
    needed = -found.sum(1)
    hits = []
    for text, scores in zip(planted, needed, strict=True):
        start = max(text.find(strand) for strand in strands)
        top = np.argsort(scores)[-len(consensus) :]
        hits.append(np.isin(top, range(start, start + len(consensus))).mean())
    share = float(np.mean(hits))
    record_property("share of planted positions among the top scores", share)
    print(f"share of planted positions among the top scores: {share:.3f}; by chance 0.17")
    assert share > 0.6
