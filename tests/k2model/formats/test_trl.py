"""TRL tunes a model folder on what the assistant wrote alone, and marks what our own SFT learns; run by hand:

pytest -m drivers tests/k2model/formats/test_trl.py
"""

import json
from pathlib import Path

import pytest

from k2model.chat.messages import encode_chat
from k2model.chat.tokenizer import load_tokenizer
from k2model.config import K2Config
from k2model.formats.checkpoint import load_checkpoint
from k2model.formats.model_folder import save_model_folder
from k2model.model import K2Model
from tests.environments import environment, run_there
from tests.small_data import CALL, TOOLS, small_tokenizer

pytestmark = [pytest.mark.drivers, pytest.mark.timeout(1800)]
DRIVER = Path(__file__).parent / "drivers" / "drive_trl.py"
CALLS = [{"id": "functions.weather:0", "type": "function", "function": {"name": "weather", "arguments": CALL}}]
DIALOGS = [
    {"messages": [{"role": "user", "content": "even?"}, {"role": "assistant", "content": "odd"}], "tools": TOOLS},
    {
        "messages": [
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": "", "reasoning_content": "look", "tool_calls": CALLS},
            {"role": "tool", "tool_call_id": "functions.weather:0", "content": "rain"},
            {"role": "assistant", "content": "It rains.", "reasoning_content": "done"},
        ],
        "tools": TOOLS,
    },
]


def test_trl_learns_what_the_assistant_wrote_and_nothing_else(tmp_path: Path) -> None:
    tokenizer = small_tokenizer(300)
    config = K2Config.preset("smoke", vocab_size=tokenizer.vocab_size, num_hidden_layers=2)
    save_model_folder(K2Model(config, seed=1), tmp_path / "m", tokenizer, [])
    (tmp_path / "dialogs.json").write_text(json.dumps(DIALOGS))
    python = environment(tmp_path / "env", "trl", over_ours=True)
    told = json.loads(
        run_there(python, DRIVER, tmp_path / "m", tmp_path / "dialogs.json", cwd=tmp_path).splitlines()[-1]
    )
    ours = [encode_chat(tokenizer, dialog["messages"], dialog["tools"]) for dialog in DIALOGS]
    assert told["made"] == [[encoded.ids, [int(bit) for bit in encoded.loss_mask]] for encoded in ours]
    for learned, encoded in zip(told["learned"], ours, strict=True):
        assert learned == [i for i, bit in zip(encoded.ids, encoded.loss_mask, strict=True) if bit]
    assert len(told["losses"]) == 3 and told["losses"][-1] < told["losses"][0]
    load_checkpoint(tmp_path / "tuned")
    assert load_tokenizer(tmp_path / "tuned").encode("even") == tokenizer.encode("even")
