from collections.abc import Mapping
from pathlib import Path

import pytest

from gym.javascript.reach import refuse_if_found
from gym.sandbox import SandboxError, open_sandbox
from tests.script_project import CODE, PROJECT


def _refused(folder: Path, files: Mapping[str, str]) -> str:
    folder.mkdir()
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    for place in [folder, *folder.parents][:4]:
        place.chmod(0o755)
    with open_sandbox("fork", workers=1, libraries=folder) as box:
        try:
            refuse_if_found(box, PROJECT)
        except SandboxError as error:
            return str(error)
    return ""


@pytest.mark.parametrize(
    ("files", "line"),
    [
        ({"tool/node_modules/inkscripts/index.js": "x"}, "/tool/node_modules/inkscripts"),
        ({"tool/renamed.js": CODE}, "/tool/renamed.js is a copy of lib/scripts.js"),
        ({"tool/bundle.mjs": f"(() => {{\n{CODE}\n}})();\n"}, "/tool/bundle.mjs is a copy of lib/scripts.js"),
        ({"tool/notes.txt": CODE.replace("  ", "\t")}, "/tool/notes.txt is a copy of lib/scripts.js"),
        ({"inkscripts-1.0.0/x": ""}, "/inkscripts-1.0.0"),
    ],
)
def test_a_second_copy_is_refused(files: Mapping[str, str], line: str, tmp_path: Path) -> None:
    told = _refused(tmp_path / "lib", files)
    assert told.startswith("inkscripts can be read before a session starts: ") and line in told


def test_other_files_are_no_copy(tmp_path: Path) -> None:
    assert not _refused(tmp_path / "lib", {"tool/node_modules/other/index.js": "x", "inkscripts/readme": "no code"})
