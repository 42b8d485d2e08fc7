"""No secret in any form is shown, and what is no secret stays readable."""

import base64
import html
import json
import time
from urllib.parse import quote

import pytest

from agents.chat.redact import SHOWN, WITHHELD, public, public_values, redact, secrets_of

KEY = "sk-proj-Ab3dEf6h/+=&x"


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}. You can find your key at …",
        f"Authorization: Bearer {KEY}",
        f"GET /v1?api_key={quote(KEY, safe='')}",
        f"Basic {base64.b64encode(KEY.encode()).decode()}",
        f"the first characters {KEY[:12]}… of yours",
        f"ends in {KEY[-9:]}",
        KEY.upper(),
        f"{KEY}{KEY}",
        f"\n{KEY}\n",
    ],
)
def test_a_key_is_hidden_whatever_its_form(text: str) -> None:
    shown = redact(text, [KEY])
    assert "[key]" in shown and "\n" not in shown
    parts = {KEY[k : k + 8].lower() for k in range(len(KEY) - 7)}
    assert not any(part in shown.lower() for part in parts)


@pytest.mark.parametrize("text", ["no x, no exit", "X"])
def test_a_short_key_withholds_the_text_instead_of_riddling_it(text: str) -> None:
    assert redact(text, ["x"]) == WITHHELD
    assert redact("no such model", ["x"]) == "no such model"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://me:secret@host/v1 please", "see https://host/v1 please"),
        ("POST /v1?key=abc&n=1", "POST /v1?key=[key]&n=1"),
        ("x-api-key=123456 token=abc", "x-api-key=[key] token=[key]"),
        ("Bearer abcdef123456 is wrong", "[key] is wrong"),
        ("your key: sk-12****99", "your key: [key]"),
        ("Basic authentication failed, key required", "Basic authentication failed, key required"),
        ("the token limit is 4096; keys of the object", "the token limit is 4096; keys of the object"),
    ],
)
def test_what_looks_like_a_secret_goes_even_when_it_is_not_known(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize("secret", ["ab\"cd\\ef'gh<12345>&x", "p@ss/w:rd+ü% 12345", KEY])
def test_no_piece_of_an_escaped_secret_stays(secret: str) -> None:
    for written in (json.dumps(secret)[1:-1], repr(secret)[1:-1], html.escape(secret), quote(secret)):
        assert redact(f"bad {written} end", [secret]) == "bad [key] end"
    for user in ("", "u:", "me:"):
        shown = redact(base64.b64encode(f"{user}{secret}".encode()).decode(), [secret])
        assert "[key]" in shown
        assert len(shown) < 16


@pytest.mark.parametrize(
    "text",
    [
        '{"api_key": "%s"}', "{'x-api-key': '%s'}", "X-Goog-Api-Key: %s", "password: %s", '{"client_secret":"%s"}',
        "client_secret=%s", "OPENAI_API_KEY=%s", "export HF_TOKEN=%s", "Incorrect API key provided: %s.",
        "Invalid token: %s", "Authorization: %s", "Authorization: Token %s", "Cookie: session=%s; Path=/",
        "x-amz-security-token: %s", '{\\"password\\": \\"%s\\"}', "/v1?code=%s&n=1",
    ],
)  # fmt: skip
def test_a_secret_that_is_named_goes_from_headers_json_and_assignments(text: str) -> None:
    assert redact(text % "Zx9Kq71LmP04rTyU") == text % "[key]"


@pytest.mark.parametrize(
    "key",
    [
        "sk-ant-api03-AbC_dEf-123456", "AKIAIOSFODNN7EXAMPLE", "ghp_abcdEFGH1234567890", "github_pat_11ABCDE_abcdefg",
        "AIzaSyD-9tSrke72PouQMnMX", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.Sfl-KxwR", "hf_abcDEFghiJKLmno",
        "nvapi-abcDEF1234567890", "xai-abcDEF1234567890", "glpat-abcdEFGH12345678", "gsk_abcDEF123456789",
    ],
)  # fmt: skip
def test_a_key_is_known_by_its_form(key: str) -> None:
    assert redact(f"error near {key} here") == "error near [key] here"


@pytest.mark.parametrize(
    "text",
    [
        "status code=404", "error code=invalid_request", "bearer instruments", "Basic Instinct", "BASIC AUTHENTICATION",
        "sk_learn_model", "hf-internal-testing/tiny", "The key idea-1 is", "Unsupported parameter key: top_k1",
        "max_tokens=500", "sort_key=name", "the monkey=banana story", "key-value store with 128-bit",
        "model gpt-4o-2024-08-06 not found", "password must be 8 characters", "token: expected ','",
    ],
)  # fmt: skip
def test_ordinary_text_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("url", ["https://u:p@ss@h/v1", "https://u:p#ss@h/v1", "https://u:p?ss@h/v1"])
def test_a_password_that_should_be_encoded_is_hidden_whole(url: str) -> None:
    assert public(url) == "https://h/v1"


def test_a_text_is_cut_after_it_is_redacted() -> None:
    assert KEY[:8] not in redact("a" * (SHOWN - 10) + KEY, [KEY])


@pytest.mark.parametrize(
    ("spec", "shown", "secrets"),
    [
        ("http://h:1/v1#m", "http://h:1/v1#m", ()),
        ("http://u:p%40w@h/v1#m", "http://h/v1#m", ("u:p@w", "p@w")),
        ("https://tokenonly@h/v1", "https://h/v1", ("tokenonly", "tokenonly")),
        ("http://h/v1?api_key=a%2Bb&api-version=7#m", "http://h/v1?api-version=7#m", ("a+b",)),
        ("http://h/v1?opaque", "http://h/v1", ("opaque",)),
        ("https://api/accounts/1/ai/@cf/llama#m", "https://api/accounts/1/ai/@cf/llama#m", ()),
        ("http://[::1]:8000/@cf/m", "http://[::1]:8000/@cf/m", ()),
        ("models/qat", "models/qat", ()),
        ("embedded", "embedded", ()),
    ],
)
def test_a_url_is_shown_without_what_could_open_it(spec: str, shown: str, secrets: tuple[str, ...]) -> None:
    assert public(spec) == shown
    assert secrets_of(spec) == secrets
    assert public_values({"teacher": spec, "n": 3, "more": [spec, None]}) == {
        "teacher": shown,
        "n": 3,
        "more": [shown, None],
    }


@pytest.mark.parametrize("piece", ["5x", "token", "password", "eyJ", "1", "_", " ", "a:", "key ", "sk-", "key-"])
def test_a_long_reply_is_redacted_in_time(piece: str) -> None:
    before = time.process_time()
    redact(piece * (200_000 // len(piece)), [KEY])
    assert time.process_time() - before < 10
