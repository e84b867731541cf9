import os

import pytest

from generalNAS_tools.workers.processes import Processes


@pytest.mark.parametrize("own", [None, "glibc.malloc.check=0"])
def test_a_process_has_its_cores_and_settings_of_the_allocator(own, tmp_path, monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if own:
        monkeypatch.setenv("GLIBC_TUNABLES", own)
    before, told = dict(os.environ), tmp_path / "told.txt"
    names = "GLIBC_TUNABLES", "OMP_NUM_THREADS", "MKL_NUM_THREADS"
    told_by = f"open({str(told)!r}, 'w').write(' '.join(os.environ[x] for x in {names}))"
    line = ["-c", f"import os; {told_by}"]
    assert Processes().run(line, threads=3, folder=tmp_path).status == "done"
    setting = own or "glibc.malloc.hugetlb=1:glibc.malloc.tcache_count=127"
    assert told.read_text() == f"{setting} 3 3"
    assert dict(os.environ) == before
