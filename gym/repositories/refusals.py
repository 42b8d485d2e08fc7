"""Words that a repair may not bring into a file: by them code reaches the judge that it shares a process with.

They count only where the file has more of them than the good and the broken one had.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator

# Modules that see, replace or end what runs the tests. As names, attributes, imports and inside of strings.
_MODULES = {
    "_pytest", "pytest", "pluggy", "unittest", "doctest", "gc", "inspect", "ctypes", "_ctypes", "cffi", "atexit",
    "signal", "faulthandler", "threading", "_thread", "multiprocessing", "subprocess", "socket", "importlib", "imp",
    "pkgutil", "runpy", "zipimport", "codeop", "marshal", "tracemalloc", "linecache", "builtins", "__builtin__",
    "__builtins__", "site", "sitecustomize", "usercustomize", "mmap", "fcntl", "posix", "pty", "fileinput", "tokenize",
    "_io", "asyncio", "concurrent", "bdb", "pdb", "resource", "sysconfig", "conftest",
}  # fmt: skip
_NAMES = {
    "_getframe", "_current_frames", "settrace", "setprofile", "meta_path", "path_hooks", "path_importer_cache",
    "excepthook", "unraisablehook", "f_back", "f_locals", "f_globals", "f_builtins", "f_code", "tb_frame", "tb_next",
    "gi_frame", "cr_frame", "ag_frame", "__globals__", "__code__", "__closure__", "__subclasses__", "__import__",
    "__loader__", "__spec__", "__getattribute__", "get_data", "get_source", "read_text", "read_bytes", "_exit",
    "environ", "getenv", "putenv", "PYTEST_CURRENT_TEST", "closerange", "breakpoint", "register_at_fork",
    "AssertionError",
    "SystemExit", "KeyboardInterrupt", "BaseException", "__traceback__", "with_traceback", "addaudithook", "co_consts",
    "currentframe", "get_objects", "get_referrers",
}  # fmt: skip
# As a bare name only: as an attribute (`re.compile`, `archive.open`) they are harmless and common.
_BARE = {"open", "exec", "eval", "compile", "globals", "locals", "vars", "exit", "quit", "input"}
_OF_MODULE = {
    "sys": {"modules", "path", "argv", "exit", "stdin", "stdout", "stderr", "__stdout__", "__stderr__", "executable"},
    "os": {
        "write", "read", "open", "close", "dup", "dup2", "pipe", "fdopen", "kill", "killpg", "abort", "fork", "system",
        "popen", "execv", "execve", "execvp", "posix_spawn", "listdir", "scandir", "walk", "getpid", "getppid", "link",
        "symlink", "rename", "replace", "remove", "unlink", "chdir", "mkdir",
    },
}  # fmt: skip
_WHOLE = {"sys", "os", "_sys", "_os"}  # these may not become values, under which any word could follow
_TESTS = re.compile(r"tests?|test_.*|.*_tests?|conftest")
_WORD = re.compile(r"[^\W\d]\w*")


def forbidden_words(code: bytes) -> Counter[str]:
    """How often each word stands in a file's code; a docstring says nothing.

    Raises:
        SyntaxError, ValueError, RecursionError: it is no Python.
    """
    tree = ast.parse(code)
    modules = _modules(tree)
    attributes = {id(node.value): node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return Counter(word for node in ast.walk(tree) for word in _words(node, modules, attributes, silent))


def new_words(repaired: bytes, *originals: bytes) -> list[str]:
    """Words of which the repaired file has more than each of the originals.

    Raises:
        SyntaxError, ValueError, RecursionError: the repaired file is no Python.
    """
    known: Counter[str] = Counter()
    for original in originals:
        known |= forbidden_words(original)
    return sorted(forbidden_words(repaired) - known)


def _modules(tree: ast.AST) -> dict[str, str]:
    """The module behind each name that an import binds."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
    return found


def _words(node: ast.AST, modules: dict[str, str], attributes: dict[int, str], silent: set[int]) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from _imported(node)
    elif isinstance(node, ast.Attribute):
        if node.attr in _MODULES | _NAMES | _WHOLE:
            yield node.attr
    elif isinstance(node, ast.Name):
        module = modules.get(node.id, node.id)
        attribute = attributes.get(id(node))
        if module in _MODULES or (attribute is None and node.id in _MODULES | _NAMES | _BARE):
            yield module
        if attribute in _OF_MODULE.get(module.lstrip("_"), ()):
            yield f"{module}.{attribute}"
        if attribute is None and module in _WHOLE and isinstance(node.ctx, ast.Load):
            yield f"{module} as a value"
        if attribute == "__dict__" and node.id in modules:
            yield f"{module}.__dict__"
    elif isinstance(node, ast.Call):
        yield from _dynamic(node, modules)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and id(node) not in silent:
        text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
        yield from (word for word in _WORD.findall(text) if word in (_MODULES - _PLAIN) | _NAMES)


# Ordinary words of messages: in a string they tell nothing.
_PLAIN = {"signal", "site", "socket", "resource", "imp", "concurrent", "inspect", "cffi", "threading", "posix"}


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
    for alias in node.names:
        dotted = ".".join(filter(None, [module, alias.name]))
        for part in dotted.split("."):
            if part in _MODULES | _NAMES or _TESTS.fullmatch(part):
                yield part
        if isinstance(node, ast.ImportFrom) and alias.name in _OF_MODULE.get(module, ()):
            yield dotted
        if isinstance(node, ast.ImportFrom) and dotted in ("io.open", "codecs.open"):
            yield dotted


def _dynamic(call: ast.Call, modules: dict[str, str]) -> Iterator[str]:
    """An attribute of a module by a name that is only made when it runs."""
    if not isinstance(call.func, ast.Name) or call.func.id not in ("getattr", "setattr", "delattr", "hasattr"):
        return
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Name) and first.id in modules:
        yield f"{call.func.id} of {modules[first.id]}"
