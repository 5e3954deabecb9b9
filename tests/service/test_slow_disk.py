"""`sub50 api` with its keys on a disk that hangs, as a share of a network does that is cut off."""

from __future__ import annotations

from pathlib import Path

from chaos.slow_disk import SlowDisk
from service.keys.line import line_of
from tests.compiler import skip_without_compiler
from tests.service.api_process import until
from tests.service.keys.test_store import write
from tests.service.test_ending import StartApi, shared_triton, start_api, triton  # noqa: F401

HANGS_SECONDS = 3600.0


def test_nobody_waits_for_it(start_api: StartApi, tmp_path: Path) -> None:  # noqa: F811
    skip_without_compiler()
    keys = write(tmp_path / "keys", line_of("root", "m"))
    disk = SlowDisk(tmp_path)
    api = start_api(
        SUB50_MANAGEMENT_KEYS_FILE=str(keys), SUB50_DRAIN_SECONDS="0", **disk.variables()
    )
    assert disk.calls == 0
    disk.take(HANGS_SECONDS)
    until(lambda: disk.calls == 1, 5)
    for _ in range(10):
        assert api.classify().status == 200
        assert api.get("/readyz").status == 200
    assert disk.calls == 1, "one reading waits, and no other is begun"
    status, output = api.end()
    assert status == 0, output
