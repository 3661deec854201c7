"""Command lines of tutorials about files, as people type them."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Shell

LINES = """\
fs sync -l myfiles -d ./myfiles --yes
fs label ls
fs ls -l /myfiles
fs info -n myfile.txt -l /myfiles
fs snapshot create -l /src -n mysnapshot
fs label remove -l /myfiles/subdir
function submit --spec python_snapshot.json --snapshot
fs snapshot removeall
"""
SPEC = {
    "funcname": "f",
    "conditions": {"executortype": "cli"},
    "fs": {"mount": "/cfs", "snapshots": [{"label": "/src", "dir": "/src"}]},
}


def test_the_lines_work_as_typed(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("myfiles/myfile.txt", "myfiles/subdir/deep.txt", "src/main.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "python_snapshot.json").write_text(json.dumps(SPEC))
    shell.ok("fs sync -l src -d ./src --yes")
    for line in LINES.splitlines():
        shell.ok(f"{line} --yes" if line.endswith(("removeall", "subdir")) else line)
    assert shell.ok("fs snapshot ls -o id").out == ""
    assert "/myfiles/subdir" not in shell.ok("fs label ls").out
