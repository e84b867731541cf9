"""What docs/faithfulness.md says of flags is so."""

import re

import pytest

from generalNAS_tools.runs.old_flags import INERT, OLD_NAMES
from tests.scripts.runs import ROOT
from tests.scripts.test_old_flags import OWN, SCRIPTS, parsed

PAGE = (ROOT / "docs" / "faithfulness.md").read_text(encoding="utf-8")
REFUSED = {"--drop_path_prob=1"}
NAMED = sorted(set(re.findall(r"`(--[^`]+)`", PAGE)) - {"--help"})


def takes(script, word):
    """Whether a script accepts a flag, given its value if the page gives one."""
    lines = parsed(script, [word])
    if "=" in word:
        return not any(": error: " in line for line in lines)
    return not any("unrecognized arguments" in line for line in lines)


@pytest.mark.parametrize("word", NAMED)
def test_a_flag_of_the_page_exists(word):
    name = word[2:].partition("=")[0]
    owners = [script for script in SCRIPTS if name not in INERT or name in OWN.get(script, ())]
    assert any(takes(script, word) for script in owners or SCRIPTS) != (word in REFUSED)


def test_the_page_names_flags_and_the_readme_names_the_page():
    known = {"--rhn_statistics=running", "--criterion=f1", "--num_steps=2001"}
    assert REFUSED | known <= set(NAMED)
    assert "(docs/faithfulness.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_lists_every_flag_without_effect_and_every_old_name():
    listed = re.search(r"The flags without effect: (.+?)\.\n", PAGE, flags=re.DOTALL)[1]
    assert sorted(re.findall(r"`--([\w-]+)`", listed)) == sorted(INERT)
    pairs = re.findall(r"`--(\w+)` is `--(\w+)`", PAGE)
    assert dict(pairs) == OLD_NAMES


def test_every_row_has_all_its_columns():
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {5}
    assert "| – |" in PAGE
