import random

import pytest

from gym.decontaminate import Index
from k2model.chat.tokenizer import K2Tokenizer, train_tokenizer
from stages.tokens import encode as module
from stages.tokens.encode import Recipe, encode, pieces
from stages.tokens.texts import Text

QUESTION = "which of the seven green birds that sat in the oak tree flew to the river before the others did"


@pytest.fixture(scope="module")
def tokenizer() -> K2Tokenizer:
    return K2Tokenizer(train_tokenizer([QUESTION * 20, "abcdefg hijklmn opq"], 280))


def _texts(count: int) -> list[Text]:
    draw = random.Random(0)
    words = QUESTION.split()
    made = []
    for _ in range(count):
        text = " ".join(draw.choices(words, k=draw.randrange(0, 30)))
        text = f"{text} {QUESTION}" if draw.random() < 0.2 else text
        made.append(Text(draw.choice(["train", "validation"]), text, draw.random() < 0.3))
    return made


def test_a_piece_is_what_its_documents_are_one_by_one(tokenizer: K2Tokenizer) -> None:
    index = Index()
    index.add("birds", [QUESTION])
    texts = _texts(300)
    found = encode(texts, Recipe(tokenizer.backend.to_str(), index))
    kept = [text for text in texts if QUESTION not in text.text]
    for split in ("train", "validation"):
        ids = [[tokenizer.bos, *tokenizer.encode(text.text), tokenizer.eos] for text in kept if text.split == split]
        assert found.lengths[split] == [len(own) for own in ids]
        assert found.ids[split].tolist() == [token for own in ids for token in own]
    assert found.overlaps == {"birds": len(texts) - len(kept)} and len(kept) < len(texts)
    assert (found.documents, found.rephrased) == (300, sum(text.rephrased for text in texts))


def test_pieces_hold_every_text_once_and_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_CHARS", 500)
    texts = _texts(300)
    found = list(pieces(texts))
    assert [text for piece in found for text in piece] == texts
    assert all(sum(len(text.text) for text in piece[:-1]) < 500 for piece in found) and len(found) > 20
