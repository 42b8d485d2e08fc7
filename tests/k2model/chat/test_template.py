"""The template of a folder against K2's format: what differs is named, a folder without one differs in nothing."""

import json
from pathlib import Path

import pytest

from k2model.chat.messages import TEMPLATE
from k2model.chat.template import differences, folder_template
from k2model.errors import ConfigError

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
EVERY = ["a question", "a system message", "an earlier answer", "tools", "a call and its result"]


@pytest.mark.parametrize(
    ("template", "found"),
    [
        (TEMPLATE, []),
        ("{#- the same, written otherwise -#}" + TEMPLATE, []),
        (CHATML, EVERY),
        ("{{ raise_exception('no') }}", EVERY),
        ("{% broken", EVERY),
        (TEMPLATE.replace("You are Kimi, an AI", "You are an"), ["a question", "an earlier answer", *EVERY[3:]]),
        (TEMPLATE.replace("separators=(',', ':')", ""), ["tools", "a call and its result"]),
        (TEMPLATE.replace("## Return of", "## Results of"), ["a call and its result"]),
    ],
)
def test_what_differs_is_named(tmp_path: Path, template: str, found: list[str]) -> None:
    (tmp_path / "chat_template.jinja").write_text(template)
    assert differences(tmp_path) == found


def test_a_template_may_stand_in_the_configuration_or_nowhere(tmp_path: Path) -> None:
    assert differences(tmp_path) == []
    config = tmp_path / "tokenizer_config.json"
    for value, template in (
        ({}, None),
        ({"chat_template": CHATML}, CHATML),
        ({"chat_template": None}, None),
        ([], None),
    ):
        config.write_text(json.dumps(value))
        assert folder_template(tmp_path) == template
    config.write_text("{")
    with pytest.raises(ConfigError, match=r"tokenizer_config\.json: can't be read: "):
        folder_template(tmp_path)
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"chat_template\.jinja: can't be read: "):
        differences(tmp_path)
