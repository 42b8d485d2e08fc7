"""The shares of the rows are whole, and every kept trajectory belongs to one of them."""

import pytest
import yaml

from stages.posttraining.conversations import SOURCES
from stages.sft.params import Shares
from tests.conftest import ROOT


def test_the_shares_are_1_together() -> None:
    shares = yaml.safe_load((ROOT / "params.yaml").read_text())["sft"]["shares"]
    assert Shares(**shares).coding > 0
    with pytest.raises(ValueError, match=r"0\.9 together, not 1"):
        Shares(**shares | {"text": 0.0})
    with pytest.raises(ValueError, match="sessions"):
        Shares(**shares | {"sessions": 0.0})


@pytest.mark.parametrize("size", ["scratch", "moonlight"])
def test_the_shares_of_other_sizes_are_whole(size: str) -> None:
    Shares(**yaml.safe_load((ROOT / "sizes" / f"{size}.yaml").read_text())["sft"]["shares"])


def test_every_kind_of_conversations_has_a_share_and_each_source_one_kind() -> None:
    assert set(SOURCES) <= set(Shares.model_fields)
    sources = [source for kind in SOURCES.values() for source in kind]
    assert len(sources) == len(set(sources))
