import json
import logging

import numpy as np
import pytest

from BONAS_search_space.graphs import canonical, genotype_of
from data_generators.random_graphs import random_architecture
from opendomain_utils.archive import Archive, ScoredArchitecture


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
