"""Whether Triton can run here is said before it is tried, with the next step."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from service.errors import ServeError
from service.triton import installation
from service.triton.installation import check_platform, find_stub, glibc_version


def test_other_platforms_are_pointed_at_a_triton_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(ServeError, match=r"aarch64.*sub50 api --triton"):
        check_platform()
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(ServeError, match="sub50 api --triton"):
        check_platform()


@pytest.mark.parametrize("version", [(2, 34), (2, 31), None])
def test_an_old_or_other_c_library_is_named(
    monkeypatch: pytest.MonkeyPatch, version: tuple[int, int] | None
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(installation, "glibc_version", lambda: version)
    with pytest.raises(ServeError, match=r"needs glibc 2\.35"):
        check_platform()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the C library's version on Linux")
def test_glibc_version_is_that_of_the_platform() -> None:
    name, version = platform.libc_ver()
    if name != "glibc":
        assert glibc_version() is None
    else:
        assert glibc_version() == tuple(map(int, version.split(".")[:2]))


def test_missing_stub_names_the_pythons_that_have_one(tmp_path: Path) -> None:
    for version in ("3.9", "3.11", "3.10"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "triton_python_backend_stub").touch()
    assert find_stub(tmp_path, (3, 11)).parent.name == "3.11"
    with pytest.raises(ServeError, match=r"Python 3\.14, only for 3\.9, 3\.10, 3\.11"):
        find_stub(tmp_path, (3, 14))


def test_missing_package_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "check_platform", lambda: None)
    monkeypatch.setattr(installation, "package_folder", lambda name: None)
    with pytest.raises(ServeError, match="pip install 'nvidia-pytriton"):
        installation.find_installation()


def test_missing_python_library_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(installation.sysconfig, "get_config_var", lambda name: str(tmp_path))
    monkeypatch.setattr(sys, "base_exec_prefix", str(tmp_path))
    monkeypatch.setattr(installation.ctypes.util, "find_library", lambda name: None)
    with pytest.raises(ServeError, match=rf"libpython{sys.version_info[0]}\.\d+\.so"):
        installation.find_python_library(tmp_path)


def test_python_library_is_found_beside_the_python_that_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    major, minor = sys.version_info[:2]
    monkeypatch.setattr(installation.sysconfig, "get_config_var", lambda name: "/nowhere")
    monkeypatch.setattr(sys, "base_exec_prefix", str(tmp_path))
    library = tmp_path / "lib" / f"libpython{major}.{minor}.so.1.0"
    library.parent.mkdir()
    library.touch()
    assert installation.find_python_library(tmp_path) == library
