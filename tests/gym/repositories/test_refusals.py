import pytest

from gym.repositories.refusals import new_words

ORIGINAL = b"import sys\nimport re\n\n\ndef f(x):\n    return re.compile(x)\n"


def _words(line: str, original: bytes = ORIGINAL) -> list[str]:
    return new_words(original + f"\n\ndef g(x, archive):\n    {line}\n".encode(), original)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("import gc", "gc"),
        ("import _pytest.reports as harmless", "_pytest"),
        ("from _pytest import reports", "_pytest"),
        ("from tests import test_a", "test_a"),
        ("from ..tests.test_a import X", "tests"),
        ("return sys.modules", "sys.modules"),
        ("from sys import modules", "sys.modules"),
        ("import sys as s; return s.modules", "sys.modules"),
        ("return sys._getframe(1)", "_getframe"),
        ("return (lambda m: m.modules)(sys)", "sys as a value"),
        ("return getattr(sys, x)", "getattr of sys"),
        ("return x.gi_frame.f_back", "f_back"),
        ("return x.__class__.__subclasses__()", "__subclasses__"),
        ("return open(x).read()", "open"),
        ("from io import open as o", "io.open"),
        ("return eval(x)", "eval"),
        ("return __import__(x)", "__import__"),
        ("return x['__globals__']", "__globals__"),
        ("return f'{x} _getframe'", "_getframe"),
        ("return b'_pytest'", "_pytest"),
        ("raise AssertionError", "AssertionError"),
    ],
)
def test_words_that_are_refused(line: str, word: str) -> None:
    assert word in _words(line)


@pytest.mark.parametrize(
    "line",
    [
        "return re.compile(x).match(x)",
        "return archive.open(x), archive.write(x), archive.path, archive.modules",
        "return sys.maxsize, sys.version_info, sys.getsizeof(x)",
        "return getattr(x, 'name', None), getattr(x, archive)",
        "raise ValueError(f'no signal at site {x}')",
        "'A docstring may speak of pytest and sys.modules.'",
        "import itertools, os.path; return os.path.join(x, 'a')",
        "return x.replace('a', 'b')",
    ],
)
def test_words_that_are_not(line: str) -> None:
    assert _words(line) == []


def test_words_of_the_original_stay() -> None:
    original = b"import gc\n\n\ndef f():\n    gc.collect()\n    return open('x')\n"
    broken = b"import gc\n\n\ndef f():\n    gc.collect()\n"
    assert new_words(original, broken, original) == []
    assert new_words(original, broken) == ["open"]
    assert new_words(original + b"    gc.get_objects()\n", broken, original) == ["gc", "get_objects"]


def test_what_is_no_python() -> None:
    with pytest.raises(SyntaxError):
        new_words(b"def", ORIGINAL)
