"""Python's own libraries, as programs below a zygote may read them. Standard library and `lockdown` only."""

import importlib
import os
import site
import sys
import sysconfig
from collections.abc import Sequence

import lockdown

SYSTEM = {"/usr/lib", "/lib", "/lib64", "/dev/null", "/dev/urandom", "/dev/zero", "/usr/share/zoneinfo"}
SYSTEM |= {"/etc/ld.so.cache", "/etc/localtime", "/etc/ssl/openssl.cnf"}
SITES = ("site-packages", "dist-packages")


def show_libraries(base: str) -> None:
    """Makes Python's libraries readable for other users when their folder isn't, e.g. below /root.

    They are bound to a place that is, in this process's own mount namespace, and imports go there from now on.
    """
    paths = [sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")]
    _show_at({path: os.path.join(base, f"lib{number}") for number, path in enumerate(dict.fromkeys(paths))})


def show_only(base: str, libraries: str, hidden: Sequence[str]) -> None:
    """Leaves the standard library and `libraries` alone of all Python code that programs could read.

    Started with `-S`, so nothing of the environment's site-packages was ever imported here. Every place in `hidden` is
    covered by an empty one; those that an interpreter looks for installed packages in show the libraries, so that
    `python3` in a shell finds the same.

    Raises:
        OSError: a mount is refused, or other users can't read the libraries.
    """
    if os.geteuid() == 0 and os.stat(libraries).st_mode & 0o5 != 0o5:
        raise OSError(f"libraries {libraries}: other users can't read this folder")
    shown, nothing, none = (os.path.join(base, name) for name in ("libraries", "nothing", "none"))
    os.mkdir(shown, 0o755)
    os.mkdir(nothing, 0o755)
    os.close(os.open(none, os.O_CREAT | os.O_WRONLY, 0o444))
    lockdown.bind(libraries, shown)
    for path in hidden:
        site_folder = os.path.basename(path) in SITES
        lockdown.bind(shown if site_folder else nothing if os.path.isdir(path) else none, path)
    if os.geteuid() == 0:
        _show_at({sysconfig.get_path("stdlib"): os.path.join(base, "lib0")})
    sys.path.remove(os.path.dirname(__file__))
    sys.path.append(shown)
    site.setquit()
    site.setcopyright()
    site.sethelper()


def _show_at(moved: dict[str, str]) -> None:
    """Binds folders to other places, and lets imports find them there."""
    for path, mount_point in moved.items():
        os.mkdir(mount_point, 0o755)
        lockdown.bind(path, mount_point)

    def there(path: str) -> str:
        best = max((old for old in moved if path == old or path.startswith(old + "/")), key=len, default=None)
        return path if best is None else moved[best] + path[len(best) :]

    sys.path[:] = [there(path) for path in sys.path]
    for module in list(sys.modules.values()):
        if hasattr(module, "__path__"):
            module.__path__ = [there(path) for path in module.__path__]
        spec = getattr(module, "__spec__", None)
        if spec is not None and spec.submodule_search_locations is not None:
            spec.submodule_search_locations[:] = [there(path) for path in spec.submodule_search_locations]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()


def readable_trees(base: str, preload: list[str]) -> list[str]:
    """Where Python and the preloaded packages live, and nothing else."""
    own = {os.path.join(base, name) for name in os.listdir(base) if name.startswith("lib")}
    if os.geteuid() == 0:
        return sorted(own | {path for path in SYSTEM if os.path.exists(path)})
    paths = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), f"{sys.base_prefix}/lib"} | own
    if preload and not own:
        paths |= {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return sorted(path for path in paths | SYSTEM if os.path.exists(path))
