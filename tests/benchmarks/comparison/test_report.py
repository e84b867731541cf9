"""The report of made-up records: every file, the same bytes again, and the page in a browser."""

import csv
import json
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from matplotlib.image import imread

from benchmarks.comparison.records import RunRecord
from benchmarks.comparison.report import write_report
from generalNAS_tools.files.genotype_files import read_genotype
from tests.benchmarks.comparison.record_cases import FACTS, comparison, done
from tests.generalNAS_tools.search_space.genotype_cases import EXAMPLE

FILES = {"compare.json", "runs.csv", "targets.csv", "report.md", "table.tex", "report.html"}
PICTURES = ["anytime", "genotype-darts", "ranks", "seeds", "sizes"]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PROBE = """<script>
const seen = {errors: 0};
addEventListener("error", () => seen.errors++, true);
addEventListener("load", () => {
  seen.pictures = [...document.images].map(i => [i.id, i.naturalWidth, i.offsetHeight]);
  seen.tables = [...document.querySelectorAll("table")].map(t => t.offsetHeight);
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  seen.requests = performance.getEntriesByType("resource")
    .map(r => r.name).filter(n => !n.startsWith("data:"));
  document.body.dataset.seen = JSON.stringify(seen);
});
</script>"""


def report(folder, records, facts=FACTS):
    write_report(records, folder, facts)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with a whole report, and its records."""
    folder = tmp_path_factory.mktemp("report")
    records = comparison(5, folder=folder)
    write_report(records, folder, FACTS)
    return folder, records


def test_every_file_is_there(written):
    folder, _ = written
    assert {path.name for path in folder.iterdir()} == FILES | {"pictures", "genotypes", "runs"}
    names = sorted(path.name for path in (folder / "pictures").iterdir())
    assert names == sorted(f"{name}.{end}" for name in PICTURES for end in ("png", "svg"))
    for name in PICTURES:
        assert imread(folder / "pictures" / f"{name}.png")[..., :3].std() > 0.01


def test_runs_csv_has_one_row_a_run(written):
    folder, records = written
    rows = list(csv.DictReader((folder / "runs.csv").open()))
    assert len(rows) == len(records)
    found = {(row["arm"], int(row["seed"])): row for row in rows}
    assert found["osp", 1]["status"] == "diverged"
    assert found["osp", 1]["test_auprc"] == ""
    assert found["darts", 3]["genotype"] == "genotypes/darts-3.json"
    assert read_genotype(folder / "genotypes/darts-3.json") == EXAMPLE
    record = next(r for r in records if (r.arm, r.seed) == ("darts", 3))
    assert float(found["darts", 3]["test_auprc"]) == record.test_auprc


def test_targets_csv_has_one_row_a_target(written):
    folder, records = written
    rows = list(csv.DictReader((folder / "targets.csv").open()))
    assert len(rows) == sum(len(record.targets) for record in records)
    first = next(r for r in rows if (r["arm"], r["seed"], r["target"]) == ("DanQ", "2", "5"))
    assert (first["category"], first["positives"], first["auprc"]) == ("TF", "0", "")


def test_compare_json_holds_the_numbers(written):
    folder, records = written
    state = json.loads((folder / "compare.json").read_text(), parse_constant=pytest.fail)
    assert len(state["runs"]) == len(records)
    assert state["facts"] == FACTS
    assert state["arms"][0]["scores"]["test_auprc"]["number"] == 5
    assert len(state["pairs"]) == 8 * 7 / 2
    assert state["ranking"]["critical_difference"] > 0
    assert {"wilcoxon", "mann–whitney", "no test"} == {
        pair["test"].lower().removeprefix("paired ") for pair in state["pairs"]
    }


def test_the_pages_tell_of_every_run_that_failed(written):
    folder, records = written
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text()
        for record in records:
            assert record.arm in text
            assert not record.reason or record.reason in text
        assert "smallest possible p is 0.0625" in text
        assert "Friedman" in text
        assert "JMLR 21:243" in text
        assert "please answer" in text


def test_the_latex_table_has_all_arms(written):
    folder, _ = written
    text = (folder / "table.tex").read_text()
    assert text.isascii()
    body = text.split("\\midrule")[1].split("\\bottomrule")[0].strip().splitlines()
    assert len(body) == 8
    assert {line.count("&") for line in body} == {8}
    assert any(line.startswith("random\\_average & 10 of 10 &") for line in body)


def test_the_same_records_give_the_same_bytes(tmp_path):
    records = comparison(3, folder=tmp_path, arms=("darts", "random", "DanQ", "random_average"))
    first = report(tmp_path, records)
    drawn = {path: path.read_bytes() for path in (tmp_path / "pictures").iterdir()}
    random.Random(0).shuffle(records)
    assert report(tmp_path, records, dict(reversed(FACTS.items()))) == first
    assert {path: path.read_bytes() for path in (tmp_path / "pictures").iterdir()} == drawn


class Cost(NamedTuple):
    seconds: float
    start: float


def test_facts_are_the_same_before_and_after_they_are_stored(tmp_path):
    facts = {"arms": {"darts": {"costs": {"alpha": Cost(0.5, 2)}, 3: Path("a")}}, "x": np.int64(1)}
    stored = {"x": 1, "arms": {"darts": {"3": "a", "costs": {"alpha": [0.5, 2]}}}}
    assert report(tmp_path, [], facts) == report(tmp_path, [], stored)


def test_another_report_leaves_no_picture_of_the_last_one(tmp_path):
    report(tmp_path, comparison(5, unfinished=False))
    assert (tmp_path / "pictures" / "ranks.svg").exists()
    files = report(tmp_path, comparison(2, unfinished=False))
    assert not (tmp_path / "pictures" / "ranks.svg").exists()
    assert b'id="ranks"' not in files["report.html"]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [RunRecord(arm="osp", kind="search", seed=0, status="failed", reason="out of | <memory>")],
        [RunRecord(arm="osp", kind="search", seed=0, status="done", test_auprc=0.3)],
        [RunRecord(arm="DanQ", kind="baseline", seed=0, status="done", test_auprc=float("nan"))],
        [done("darts", 0, 0.3)],
    ],
)
def test_little_is_enough_for_a_report(tmp_path, records):
    files = report(tmp_path, records, {})
    assert set(files) == FILES
    assert "Nothing is known of plan" in files["report.md"].decode()
    if records and records[0].reason:
        assert r"out of \| &lt;memory&gt;" in files["report.md"].decode()
        assert "out of | &lt;memory&gt;" in files["report.html"].decode()


def test_a_lost_genotype_is_told(tmp_path):
    record = done("darts", 0, 0.3, folder=tmp_path)
    report(tmp_path, [record])
    kept = tmp_path / "genotypes/darts-0.json"
    assert kept.exists()
    record.genotype.unlink()
    files = report(tmp_path, [record])
    assert not kept.exists()
    assert b"darts, seed 0: can&#x27;t be drawn" in files["report.html"]


def test_facts_of_any_kind_are_shown(tmp_path):
    facts = {"machine": {"cores": 2, "gpus": ["a", "b"]}, "when": None, "x": float("inf")}
    facts["plan"] = {"darts": {"flags": {"lr": 0.1, "epochs": 12}}}
    text = report(tmp_path, [], facts)["report.md"].decode()
    assert "| machine: cores | 2 |" in text
    assert "| machine: gpus | a, b |" in text
    assert "| x | unknown |" in text
    assert "| plan: darts | flags (epochs (12); lr (0.1)) |" in text


def test_the_page_needs_no_network(written):
    page = (written[0] / "report.html").read_text()
    assert set(re.findall(r'(?:src|href)="([^:"#]*[:#])', page)) == {"data:", "#"}
    assert "url(" not in page
    assert "@import" not in page


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("width", [1200, 500])
def test_the_page_in_a_browser(written, tmp_path, width):
    page = (written[0] / "report.html").read_text()
    probed = tmp_path / "report.html"
    probed.write_text(page.replace("<head>", f"<head>{PROBE}", 1))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    options += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},2000"]
    options += ["--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom", probed.as_uri()]
    browser = subprocess.run([CHROMIUM, *options], capture_output=True, text=True, timeout=120)
    assert "CONSOLE" not in browser.stderr
    found = re.search('data-seen="([^"]*)"', browser.stdout)
    assert found, browser.stderr
    seen = json.loads(found[1].replace("&quot;", '"'))
    assert sorted(name for name, *_ in seen["pictures"]) == PICTURES
    assert all(natural > 0 and height > 100 for _, natural, height in seen["pictures"])
    assert len(seen["tables"]) == page.count("<table>") == 11
    assert all(height > 40 for height in seen["tables"])
    assert (seen["errors"], seen["wide"], seen["requests"]) == (0, False, [])
