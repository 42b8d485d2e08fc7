"""What may be shown of a text or a URL that could hold a secret; whatever prints, stores or logs one asks here."""

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, quote_plus, unquote

SHOWN = 200  # characters of a foreign text
WHOLE = 8  # characters in a row of a secret that are recognized; a shorter secret can't be told from ordinary text
HARMLESS_QUERY = frozenset({"api-version", "api_version", "deployment", "model", "region", "version"})
WITHHELD = "[text withheld: it could hold the key, which is too short to be recognized]"
_NO_PORT = r"[^\s/?#@:\[]*:(?!\d*(?:[/?#\s]|$))\S*@"  # a password that holds what should be %-encoded
_URL = re.compile(
    rf"([a-z][a-z0-9+.-]{{0,30}}://)(?:[^\s/?#]*@|{_NO_PORT})?([^\s?#]*)(\?[^\s#]*)?(#.*)?", re.IGNORECASE | re.DOTALL
)
_RANDOM = r"(?=[\w*.+/=-]{0,200}?(?:[\d*=]|[a-z][A-Z]))"  # words have no digits and no capitals inside
_SECRET_NAME = (
    r"(?:api[-_ ]?key|(?:access|auth|secret|private|subscription)[-_]?key"
    r"|(?:\w{1,30}[-_])?(?:token|secret|password|passwd|pwd|credential)|authorization|cookie|session|sid|jwt)"
)
_PATTERNS = (
    (re.compile(r"([a-z][a-z0-9+.-]{0,30}://)[^\s/?#]*@", re.IGNORECASE), r"\1"),
    (
        re.compile(
            r"(?<![A-Za-z])((?:api|access|auth|secret|private|subscription)[-_]?key=|(?<![\w-])key="
            r"|(?:token|secret|password|passwd|pwd|signature|authorization|credential)=|(?<=[?&])(?:code|sig|auth)=)"
            r"[^\s&\"'<>]+",
            re.IGNORECASE,
        ),
        r"\1[key]",
    ),
    (re.compile(rf"\b(?i:sk|pk|gsk|hf)[-_]{_RANDOM}[\w*.-]{{6,}}"), "[key]"),
    (  # keys of AWS, Google, GitHub, GitLab, Slack, NVIDIA, xAI, Perplexity, Replicate, Together; JSON web tokens
        re.compile(
            r"\b(?:AKIA|ASIA|AIza|gh[opsu]_|github_pat_|glpat-|xox[a-z]-|nvapi-|xai-|pplx-|r8_|tgp_v1_)[\w-]{8,}"
            r"|\beyJ[\w-]{8,}\.[\w.-]+"
        ),
        "[key]",
    ),
    (re.compile(rf"\b(?i:Bearer)\s+(?:{_RANDOM}[\w*.+/=-]{{6,}}|[\w*.+/=-]{{20,}})"), "[key]"),
    (re.compile(rf"\b(?i:Basic)\s+{_RANDOM}[\w+/=]{{6,}}"), "[key]"),
    (  # of a header or of JSON; what is no word is a secret, and so is a password that is one
        re.compile(
            rf"(?<![A-Za-z])((?i:{_SECRET_NAME})\\?[\"']?\s*[:=]\s*\\?[\"']?(?:(?i:token|session|sid)[ =])?)"
            rf"{_RANDOM}[\w*.+/=~-]{{8,}}"
        ),
        r"\1[key]",
    ),
    (
        re.compile(
            r"(\\?[\"'](?:api[-_]?key|(?:\w{1,30}[-_])?(?:password|secret))\\?[\"']\s*:\s*\\?[\"'])[^\"'\\]+",
            re.IGNORECASE,
        ),
        r"\1[key]",
    ),
    (
        re.compile(rf"\b((?i:key(?: provided)?|token)[-_: ]+)(?=\S{{0,200}}?[\d*]){_RANDOM}[\w*.-]{{11,}}[\w*]"),
        r"\1[key]",
    ),
    (re.compile(r"\b(key[-_: ]+)(?=\S{0,200}?\*)[\w*.-]{6,}", re.IGNORECASE), r"\1[key]"),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The beginning of a foreign text as one line without secrets.

    What has the form of a key, a password in a URL or a secret of its query goes, and so does any part of `secrets`
    (plain, escaped as in a URL, in JSON or HTML, or in Base64) of `WHOLE` characters or more. A text that holds a
    shorter secret is withheld.
    """
    for secret in filter(None, secrets):
        if len(secret) < WHOLE and secret.casefold() in text.casefold():
            return WITHHELD
        forms = [form for form in _forms(secret) if len(form) >= WHOLE]
        for form in forms:  # whole ones first: a part of one may be a part of another
            text = re.sub(re.escape(form), "[key]", text, flags=re.IGNORECASE)
        for form in forms:
            text = _without(text, form)
    for pattern, harmless in _PATTERNS:
        text = pattern.sub(harmless, text)
    return " ".join(text.split())[:SHOWN]


def public(spec: str) -> str:
    """A URL without user, password and what of its query isn't known to be harmless; other text as it is."""
    return _URL.sub(_public, spec) if "://" in spec else spec


def public_values(value: Any) -> Any:
    """`value` (JSON values) with `public` applied to every string."""
    if isinstance(value, str):
        return public(value)
    if isinstance(value, Mapping):
        return {key: public_values(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [public_values(item) for item in value]
    return value


def secrets_of(url: str) -> tuple[str, ...]:
    """User, password, both together, and the values of the query that `public` leaves out."""
    match = re.match(r"[a-z][a-z0-9+.-]{0,30}://(?:([^/?#]*)@)?[^?#]*(?:\?([^#]*))?", url, re.IGNORECASE)
    if match is None:
        return ()
    secrets = []
    if match[1]:
        user, _, password = match[1].partition(":")
        secrets += [unquote(match[1]), unquote(password or user)]
    for pair in (match[2] or "").split("&"):
        name, _, value = pair.partition("=")
        if name.lower() not in HARMLESS_QUERY:
            secrets.append(unquote(value or name))
    return tuple(secret for secret in secrets if secret)


def _public(match: re.Match[str]) -> str:
    scheme, rest, query, fragment = match.groups(default="")
    kept = [pair for pair in query[1:].split("&") if pair.partition("=")[0].lower() in HARMLESS_QUERY]
    return f"{scheme}{rest}{'?' if kept else ''}{'&'.join(kept)}{fragment}"


def _forms(secret: str) -> list[str]:
    """How a secret may be written, the longest first: a shorter one would leave pieces of it."""
    raw = secret.encode("utf-8", "replace")
    written = [
        secret,
        repr(secret)[1:-1],
        html.escape(secret),
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
    ]
    written += [json.dumps(secret, ensure_ascii=ascii_alone)[1:-1] for ascii_alone in (True, False)]
    written += [json.dumps(json.dumps(secret))[3:-3]]
    for before, shared in ((0, 0), (1, 2), (2, 3)):  # a user's name before it moves where a group of three begins
        encoded = base64.b64encode(b" " * before + raw).decode().rstrip("=")[shared:]
        written += [encoded, encoded.replace("+", "-").replace("/", "_")]
    return sorted(dict.fromkeys(written), key=len, reverse=True)


def _without(text: str, secret: str) -> str:
    """`text` with every run of characters that `secret` has too, `WHOLE` at least, replaced by `[key]`."""
    low, key = text.casefold(), secret.casefold()
    if len(low) != len(text):  # casefold changed the length: places would not fit
        low, key = text, secret
    parts = {key[k : k + WHOLE] for k in range(len(key) - WHOLE + 1)}
    shown: list[str] = []
    position = 0
    while position < len(text):
        end = position
        while low[end : end + WHOLE] in parts:
            end += 1
        if end == position:
            shown.append(text[position])
            position += 1
        else:
            shown.append("[key]")
            position = end + WHOLE - 1
    return "".join(shown)
