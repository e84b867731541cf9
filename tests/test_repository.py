"""What people meet before the code: packaging, environments, citation and the contributor's page.

PyYAML is no requirement, so the two YAML files are read by the lines that matter.
"""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.layers import FLOORS

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted(ROOT.glob("train_genomic*.py"))


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


PYPROJECT = tomllib.loads(text("pyproject.toml"))
PROJECT = PYPROJECT["project"]
CITATION = text("CITATION.cff")
CONTRIBUTING = text("CONTRIBUTING.md")


def requirements(lines):
    """Requirements by name; comments and references to other files left out."""
    found = [Requirement(line) for line in lines if line.strip() and line[0] not in "-#"]
    return {requirement.name: requirement.specifier for requirement in found}


def pins(name):
    return requirements(text(name).splitlines())


def references():
    """First author and year of every reference in the citation file."""
    parts = re.split(r"^  - type: ", CITATION.split("\nreferences:\n")[1], flags=re.M)[1:]
    people = [re.search(r"      - (?:family-names|name): (.+)", part)[1] for part in parts]
    years = [re.search(r"^    year: (\d{4})$", part, flags=re.M)[1] for part in parts]
    return set(zip(people, years, strict=True))


def test_the_citation_has_what_the_format_asks_for_and_plain_yaml():
    keys = set(re.findall(r"^([\w-]+):", CITATION, flags=re.M))
    assert {"cff-version", "message", "title", "authors"} <= keys
    assert "\t" not in CITATION
    for line in CITATION.splitlines():
        value = re.sub(r"^ *(- )?[\w-]+: ", "", line)
        assert value == line or value[0] == '"' or ": " not in value, line


def test_the_version_is_the_same_everywhere():
    assert f"\nversion: {PROJECT['version']}\n" in CITATION
    assert f"\n## [{PROJECT['version']}] - " in text("CHANGELOG.md")


def test_the_citation_names_every_algorithm_and_baseline_of_the_readmes():
    rows = re.findall(r"^\| `?([\w -]+?)`? \|", text("README.md").split("| algorithm |")[1], re.M)
    algorithms = rows[: len(SCRIPTS)]
    baselines = re.findall(r"^\| `(\w+)` \|", text("baseline_models/README.md"), re.M)
    assert "genomeBONAS" in algorithms
    assert "DanQ" in baselines
    plain = " ".join(CITATION.split())
    assert [name for name in algorithms + baselines if name not in plain] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_paper_that_a_script_names_is_among_the_references(script):
    docstring = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8")))
    papers = re.findall(r"(\w+) (?:et al\.|& \w+),[^()]*?(\d{4})", docstring)
    assert set(papers) <= references()
    assert papers or "CWP" in script.name or "DEP" in script.name or "OSP" in script.name


def test_pip_installs_what_make_installs():
    ranges, pinned = requirements(PROJECT["dependencies"]), pins("requirements.txt")
    assert ranges.keys() == pinned.keys()
    exact = {name: str(pin)[2:] for name, pin in pinned.items() if str(pin).startswith("==")}
    assert "torch" in exact
    assert [name for name, version in exact.items() if version not in ranges[name]] == []
    assert {name: r for name, r in ranges.items() if name not in exact} == {
        name: pin for name, pin in pinned.items() if name not in exact
    }


def test_the_extra_for_developers_is_their_requirements_file():
    assert requirements(PROJECT["optional-dependencies"]["dev"]) == pins("requirements-dev.txt")
    assert "-r requirements.txt" in text("requirements-dev.txt").splitlines()


def test_pip_finds_every_package():
    patterns = PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    folders = {name.split(".")[0] for name in FLOORS}
    assert {pattern.removesuffix("*") for pattern in patterns} == folders
    bare = {path.parent for name in folders for path in (ROOT / name).rglob("*.py")}
    assert [str(folder) for folder in bare if not (folder / "__init__.py").exists()] == []


def test_conda_takes_the_same_requirements_and_a_python_that_we_take():
    lines = [line.split("#")[0].strip() for line in text("environment.yml").splitlines()]
    assert lines[lines.index("- pip:") + 1] == "- -r requirements.txt"
    assert f"- python {PROJECT['requires-python']},<3.13" in lines
    assert (ROOT / "requirements.txt").exists()


def test_what_the_contributors_page_names_exists():
    code = re.findall(r"`([^`\n]+)`", CONTRIBUTING.replace("```", ""))
    code += re.findall(r"^(?:make|python) .+$", CONTRIBUTING, flags=re.M)
    targets = {word.split()[1] for word in code if word.startswith("make ")}
    modules = {word.split()[2] for word in code if word.startswith("python -m ")}
    named = {
        word for word in code if re.fullmatch(r"[\w./*-]+(/[\w.-]+|\.(py|md|toml|txt|cff))", word)
    }
    named |= set(re.findall(r"\]\(([^):]+)\)", CONTRIBUTING))
    assert {"check", "test"} <= targets
    assert {"tests/layers.py", "CITATION.cff", "LICENSE"} <= named
    makefile = text("Makefile")
    assert [t for t in targets if not re.search(rf"^{t}:", makefile, flags=re.M)] == []
    paths = named | {f"{module.replace('.', '/')}.py" for module in modules}
    unknown = [path for path in paths if not path.startswith("__") and not any(ROOT.glob(path))]
    assert unknown == []


def test_the_contributors_page_draws_the_house_as_it_is_checked():
    rows = re.findall(r"^\| ([0-4]) \| (.+?) \|", CONTRIBUTING, flags=re.M)
    drawn = {name: int(floor) for floor, names in rows for name in re.findall(r"`(\w+)`", names)}
    floors = {name.split(".")[0]: int(floor) for name, floor in FLOORS.items()}
    assert drawn == floors
    rooms = re.search(r"eight rooms, bottom up: (.+?)\. The", CONTRIBUTING, flags=re.S)[1]
    built = {path.parent.name for path in ROOT.glob("generalNAS_tools/*/__init__.py")}
    above = {name for name in built if FLOORS[f"generalNAS_tools.{name}"] >= 1}
    assert set(re.findall(r"`(\w+)`", rooms)) == built - above
    assert all(f"`generalNAS_tools/{name}`" in CONTRIBUTING for name in above)
