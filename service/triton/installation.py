"""Where the embedded Triton lies, and whether it can run here."""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
import platform
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from core import onnx_runtime
from service.errors import ServeError

OLDEST_GLIBC = (2, 35)
STUB_NAME = "triton_python_backend_stub"
ELSEWHERE = "or run Triton elsewhere and start `sub50 api --triton HOST:PORT`"


@dataclass(frozen=True)
class Installation:
    """The parts of the `nvidia-pytriton` package that are used, and Python's shared library.

    `python_library` is None where the loader finds it by itself.
    """

    server: Path
    libraries: Path
    python_backend: Path
    stub: Path
    python_library: Path | None


def find_installation() -> Installation:
    """Find the server for this platform and this Python.

    Raises ServeError, with what to do, if Triton cannot run here.
    """
    check_platform()
    if told := onnx_runtime.clash():
        raise ServeError(f"{told}.")
    if shutil.which("bash") is None:
        raise ServeError(f"Triton starts its models through bash: install bash, {ELSEWHERE}.")
    package = package_folder("pytriton")
    server = package / "tritonserver" / "bin" / "tritonserver" if package else None
    if package is None or server is None or not server.is_file():
        raise ServeError(
            f"The embedded Triton is not installed: `pip install 'nvidia-pytriton==0.7.0'`, "
            f"{ELSEWHERE}."
        )
    libraries = package.parent / "nvidia_pytriton.libs"
    return Installation(
        server=server,
        libraries=libraries,
        python_backend=package / "tritonserver" / "backends" / "python",
        stub=find_stub(package / "tritonserver" / "python_backend_stubs", sys.version_info[:2]),
        python_library=find_python_library(libraries),
    )


def check_platform() -> None:
    """Raise ServeError unless this is Linux on x86-64 with a C library new enough."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise ServeError(
            f"The embedded Triton runs on Linux x86-64 only, this is "
            f"{platform.system()} {platform.machine()}: use the container image, {ELSEWHERE}."
        )
    version = glibc_version()
    if version is None or version < OLDEST_GLIBC:
        found = f"glibc {version[0]}.{version[1]}" if version else "no glibc"
        raise ServeError(
            f"The embedded Triton needs glibc 2.35 or newer, found {found}: use a newer system "
            f"(Debian 12, Ubuntu 22.04) or the container image, {ELSEWHERE}."
        )


def glibc_version() -> tuple[int, int] | None:
    """The C library's version; None if it is not glibc."""
    try:
        text = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):
        return None
    name, _, version = text.partition(" ")
    if name != "glibc":
        return None
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0])


def find_stub(stubs: Path, version: tuple[int, ...]) -> Path:
    """The program that runs a model's Python code, which is bound to one version of Python."""
    running = ".".join(map(str, version))
    stub = stubs / running / STUB_NAME
    if not stub.is_file():
        known = sorted(
            (path.parent.name for path in stubs.glob(f"*/{STUB_NAME}")),
            key=lambda text: [int(part) for part in text.split(".")],
        )
        raise ServeError(
            f"The embedded Triton has no stub for Python {running}, only for {', '.join(known)}: "
            f"make the virtual environment with Python 3.11 or 3.12, {ELSEWHERE}."
        )
    return stub


def find_python_library(libraries: Path) -> Path | None:
    """The shared library of the running Python, which the stub is linked against.

    Python itself may be linked statically: then the library is a file of its own that not
    every build has.
    """
    major, minor = sys.version_info[:2]
    if list(libraries.glob(f"libpython{major}-*.{minor}.so*")):  # comes with the package
        return None
    name = f"libpython{major}.{minor}.so.1.0"
    candidates = [
        Path(str(sysconfig.get_config_var("LIBDIR"))),
        Path(sys.base_exec_prefix) / "lib",
        Path(str(sysconfig.get_config_var("LIBPL"))),
        Path("/usr/lib") / str(sysconfig.get_config_var("MULTIARCH")),
    ]
    for folder in candidates:
        if (folder / name).is_file():
            return folder / name
    if ctypes.util.find_library(f"python{major}.{minor}") == name:
        return None
    raise ServeError(
        f"The embedded Triton needs {name}, and this Python ({sys.base_prefix}) was built "
        f"without it: `apt install libpython{major}.{minor}` on Debian and Ubuntu, or build "
        f"Python with --enable-shared, {ELSEWHERE}."
    )
