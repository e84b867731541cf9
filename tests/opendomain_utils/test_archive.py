import json
import logging

import numpy as np
import pytest

from BONAS_search_space.graphs import canonical, genotype_of
from data_generators.random_graphs import random_architecture
from opendomain_utils.archive import Archive, ScoredArchitecture, line_of


@pytest.fixture
def entries():
    rng = np.random.default_rng(0)
    return [ScoredArchitecture(random_architecture(rng), i / 10, 1.5, i // 2) for i in range(5)]


@pytest.fixture
def path(tmp_path, entries):
    archive = Archive(tmp_path / "runs" / "archive.jsonl")
    for entry in entries:
        archive.append(entry)
    return archive.path


def swap_genes(genotype):
    first, second, *rest = genotype.normal
    return genotype_of([second, first, *rest], list(genotype.rnn))


def test_read_gives_what_was_written(path, entries):
    archive = Archive(path)
    assert archive.entries == [e._replace(genotype=canonical(e.genotype)) for e in entries]
    assert len(archive) == 5
    assert all(entry.genotype in archive for entry in entries)
    assert random_architecture(np.random.default_rng(1)) not in archive


def test_rows_are_plain_json(path):
    row = json.loads(path.read_text().splitlines()[3])
    assert set(row) == set(ScoredArchitecture._fields)
    assert row["score"] == 0.3


def test_an_architecture_is_known_whatever_the_order_of_its_genes(path, entries):
    swapped = swap_genes(entries[2].genotype)
    archive = Archive(path)
    assert swapped in archive
    with pytest.raises(ValueError, match="already stands in line 3"):
        archive.append(entries[2]._replace(genotype=swapped))
    assert len(path.read_text().splitlines()) == 5


def test_cut_anywhere_it_keeps_the_whole_lines_and_goes_on(path, entries, caplog):
    raw = path.read_bytes()
    last = raw[:-1].rindex(b"\n") + 1
    for cut in range(last + 1, len(raw), 37):
        path.write_bytes(raw[:cut])
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            archive = Archive(path)
        assert "torn last line" in caplog.text
        assert len(archive) == 4
        archive.append(entries[4])
        assert path.read_bytes() == raw


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("score", float("nan"), "score is nan; expected a number from 0 to 1"),
        ("score", 1.5, "score is 1.5"),
        ("score", True, "score is True"),
        ("score", "0.5", "score is '0.5'"),
        ("seconds", -1, "seconds is -1"),
        ("seconds", 10**400, "seconds is 1000"),
        ("f1", 10**400, "f1 is 1000"),
        ("criterion", ["auprc"], "criterion is .'auprc'.; expected one of"),
        ("iteration", 1.5, "iteration is 1.5"),
        ("genotype", [], "genotype"),
        ("extra", 1, "expected an object with"),
    ],
)
def test_broken_rows_are_named(path, field, value, message):
    lines = path.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | {field: value})
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ValueError, match=message) as error:
        Archive(path)
    assert str(error.value).startswith(f"{path}, line 2: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000])
def test_broken_lines_are_named(path, line):
    raw = path.read_bytes().split(b"\n")
    raw[2] = line
    path.write_bytes(b"\n".join(raw))
    with pytest.raises(ValueError, match=r"line 3: ") as error:
        Archive(path)
    assert "\n" not in str(error.value)


def test_duplicates_and_foreign_genotypes_are_named(path):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[1]]))
    with pytest.raises(ValueError, match="line 6: this architecture already stands in line 2"):
        Archive(path)
    path.write_text(lines[0] + lines[1].replace("dil_conv_15", "dil_conv_9"))
    with pytest.raises(ValueError, match=r"line 2: normal\[\d\] is 'dil_conv_9'"):
        Archive(path)


def changed(raw, order):
    lines = raw.splitlines(keepends=True)
    return b"".join(lines[number] for number in order)


@pytest.mark.parametrize(
    ("order", "kept"),
    [
        ([0, 1, 2, 3, 4], 5),
        ([0, 1, 2, 3], 4),
        ([0, 1], 2),
        ([], 2),
        ([0], 2),
        ([1], 2),
        ([0, 1, 3, 4], 2),  # what comes after a missing row has lost its place
        ([0, 1, 2, 4], 3),
        ([1, 0, 2], 2),
        ([0, 2, 3, 4], 2),
    ],
)
def test_lost_rows_come_back(path, entries, order, kept):
    """A run stands on two rows and scores the other three architectures in turn."""
    raw, turn = path.read_bytes(), [entry.genotype for entry in entries[2:]]
    lines = [line_of(entry) for entry in Archive(path).entries[:2]]
    path.write_bytes(changed(raw, order))
    archive = Archive(path)
    assert archive.restore(lines, turn) == (order != list(range(kept)))
    assert path.read_bytes() == changed(raw, range(kept))
    for entry in entries[kept:]:
        archive.append(entry)
    assert path.read_bytes() == raw
    path.unlink()
    assert Archive(path).restore(lines, turn)
    assert path.read_bytes() == changed(raw, range(2))


def test_rows_that_are_not_the_run_s_are_refused(path, entries):
    raw = path.read_bytes()
    archive = Archive(path)
    lines = [line_of(entry) for entry in archive.entries[:2]]
    with pytest.raises(ValueError, match=r"line 3: the run's checkpoint knows no such row"):
        archive.restore(lines, [entry.genotype for entry in entries[3:]])
    lines[1] = line_of(archive.entries[1]._replace(score=0.7))
    with pytest.raises(ValueError, match=r"line 2: .*put back .* or start over with --restart"):
        archive.restore(lines, [entry.genotype for entry in entries[2:]])
    assert path.read_bytes() == raw


def test_an_invalid_entry_is_not_written(path):
    archive = Archive(path)
    raw = path.read_bytes()
    new = random_architecture(np.random.default_rng(1))
    with pytest.raises(ValueError, match="score is nan"):
        archive.append(ScoredArchitecture(new, float("nan"), 1.0, 0))
    assert path.read_bytes() == raw
    assert len(archive) == 5


def test_unwritable_and_unreadable_paths_are_named(tmp_path, entries):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="can't be written"):
        Archive(tmp_path / "file" / "archive.jsonl").append(entries[0])
    with pytest.raises(ValueError, match="can't be read"):
        Archive(tmp_path)
