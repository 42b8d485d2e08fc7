"""Python's own libraries, as programs below a zygote may read them. Standard library and `lockdown` only."""

import importlib
import os
import sys
import sysconfig

import lockdown

SYSTEM = {"/usr/lib", "/lib", "/lib64", "/dev/null", "/dev/urandom", "/dev/zero", "/usr/share/zoneinfo"}
SYSTEM |= {"/etc/ld.so.cache", "/etc/localtime", "/etc/ssl/openssl.cnf"}


def show_libraries(base: str) -> None:
    """Makes Python's libraries readable for other users when their folder isn't, e.g. below /root.

    They are bound to a place that is, in this process's own mount namespace, and imports go there from now on.
    """
    moved: dict[str, str] = {}
    for number, path in enumerate(dict.fromkeys([sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")])):
        mount_point = os.path.join(base, f"lib{number}")
        os.mkdir(mount_point, 0o755)
        lockdown.bind(path, mount_point)
        moved[path] = mount_point

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
    if os.geteuid() == 0:
        own = {os.path.join(base, name) for name in os.listdir(base) if name.startswith("lib")}
        return sorted(own | {path for path in SYSTEM if os.path.exists(path)})
    paths = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), f"{sys.base_prefix}/lib"}
    if preload:
        paths |= {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return sorted(path for path in paths | SYSTEM if os.path.exists(path))
