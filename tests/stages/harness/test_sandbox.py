from pathlib import Path

import pytest
import yaml

from gym.sandbox import Backend
from stages.harness.errors import InputError
from stages.harness.sandbox import sandboxes

ROOT = Path(__file__).parents[3]


def _write(folder: Path, **changed: object) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["sandbox"] |= changed
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def test_the_section_names_the_back_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path, workers=3)
    assert sandboxes() == Backend("fork", 3)
    _write(tmp_path, backend="kubernetes", image="lab/python:3.11", namespace="lab")
    assert sandboxes() == Backend("kubernetes", 2, "lab/python:3.11", "lab")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"backend": "vm"}, r"sandbox\.backend: "),
        ({"workers": 0}, r"sandbox\.workers: "),
        ({"backend": "kubernetes"}, "sandbox: backend kubernetes needs an image that the cluster has, and a namespace"),
        ({"image": "lab/python"}, "sandbox: image: backend fork has none"),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    _write(tmp_path, **changed)
    with pytest.raises(InputError, match=message) as caught:
        sandboxes()
    assert "\n" not in str(caught.value)
