"""What SECURITY.md says of versions and files is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    assert links
    missing = [link for link in links if "://" not in link and not (ROOT / link).is_file()]
    assert missing == []


def test_files_that_are_named_exist() -> None:
    named = re.findall(r"`((?:tests|deploy)/[\w./-]+)`", TEXT)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_embedded_triton_is_the_one_that_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [pinned] = [each for each in project["dependencies"] if each.startswith("nvidia-pytriton==")]
    version = pinned.partition("==")[2].partition(";")[0].strip()
    assert f"`nvidia-pytriton` {version} holds Triton" in TEXT


def test_the_image_is_the_one_in_deploy() -> None:
    [named] = re.findall(r"`nvcr\.io/nvidia/tritonserver:([\w.-]+)`", TEXT)
    used = set()
    for path in (ROOT / "deploy").rglob("*.yaml"):
        used |= set(re.findall(r"tritonserver:([\w.-]+)", path.read_text(encoding="utf-8")))
    tags = {tag for tag in used if re.match(r"\d", tag)}
    assert tags == {named}
