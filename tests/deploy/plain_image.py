"""Carries the Dockerfile out without a container engine: plain folders, overlays and chroot.

Needs root on Linux and `mmdebstrap`, which makes the folder that stands in for the base image:
Debian 12 with its own Python 3.11, which the base image has below /usr/local instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.deploy.dockerfile import (
    Ignored,
    Stage,
    assignments,
    command_of,
    healthcheck_of,
    read_stages,
    substitute,
)

PACKAGES = "python3,python3-venv,libpython3.11,ca-certificates"
BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How this machine reaches the package index, where it needs more than its address.
PASSED_ON = ("PIP_INDEX_URL", "PIP_CERT", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
FROM_HOST = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt")
# Makes the file system of a container at "$root" and becomes the command. What is in /dev, and what
# temporary folders allow, is as container engines have it by default.
ENTER = r"""
set -eu
mount -t overlay overlay -o "$overlay" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
mkdir "$root/dev/shm"
mount -t tmpfs -o mode=1777,size=64m,noexec,nosuid,nodev tmpfs "$root/dev/shm"
for name in null zero full random urandom; do
  touch "$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
ln -s /proc/self/fd "$root/dev/fd"
for path in $host_files; do mount --bind "$path" "$root$path"; done
if [ -n "$tmpfs" ]; then mount -t tmpfs -o "mode=1777,nosuid,nodev,$tmpfs" tmpfs "$root/tmp"; fi
while [ "$1" != -- ]; do
  mount --bind "$1" "$root$2"
  mount -o "remount,bind,$3" "$root$2"
  shift 3
done
shift
exec chroot "$root" /usr/bin/setpriv "$@"
"""


@dataclass(frozen=True)
class Image:
    """What a stage made. `layers` are folders, the topmost first, the base last."""

    layers: tuple[Path, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": BASE_PATH})
    workdir: str = "/"
    user: str = "0:0"
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()

    @property
    def program(self) -> list[str]:
        """What a container of it runs."""
        return [*self.entrypoint, *self.command]


def make_base(folder: Path) -> Path:
    """The tree of the base image at `folder`, made anew unless it is there."""
    if not (folder / "usr/bin/python3").exists():
        made = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(made, ignore_errors=True)
        made.parent.mkdir(parents=True, exist_ok=True)
        options = ["--variant=minbase", f"--include={PACKAGES}", "--quiet"]
        subprocess.run(["mmdebstrap", *options, "bookworm", made], check=True)
        (made / "etc/resolv.conf").touch()
        (made / "etc/hosts").touch()
        made.rename(folder)
    return folder


def enter(
    image: Image,
    command: Sequence[str],
    folder: Path,
    *,
    upper: Path | None = None,
    volumes: Mapping[str, tuple[Path, str]] | None = None,
    environment: Mapping[str, str] | None = None,
    network: bool = True,
    programs_in_tmp: bool = False,
) -> tuple[list[str], dict[str, str]]:
    """The command and environment that run `command` inside the image.

    Args:
        folder: scratch for the mount point.
        upper: the folder that takes what is written, as root while building. None makes the root
            file system read-only but for /tmp and /dev/shm, takes every capability away, and the
            way to get new ones.
        volumes: folders by their path inside, each with "ro" or "rw".
        network: whether it has this machine's network, or none.
        programs_in_tmp: whether programs in /tmp may be run, as with `--tmpfs /tmp:exec`.
    """
    root = folder / "root"
    root.mkdir(parents=True, exist_ok=True)
    overlay = f"lowerdir={':'.join(map(str, image.layers))}"
    if upper is not None:
        work = folder / "work"
        work.mkdir(exist_ok=True)
        overlay += f",upperdir={upper},workdir={work}"
    binds = [
        word
        for path, (source, mode) in (volumes or {}).items()
        for word in (str(source), path, mode)
    ]
    uid, _, gid = image.user.partition(":")
    rights = [f"--reuid={uid}", f"--regid={gid or uid}", "--clear-groups"]
    if upper is None:
        rights += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    inside = {**image.environment, **(environment or {})}
    values = [f"{name}={value}" for name, value in inside.items()]
    spaces = ["--mount", "--pid", "--fork", "--kill-child", *([] if network else ["--net"])]
    script = ["unshare", *spaces, "sh", "-c", ENTER, "sh", *binds, "--", *rights, "--"]
    variables = {
        "PATH": os.environ["PATH"],
        "root": str(root),
        "overlay": overlay,
        "host_files": " ".join(filter(os.path.exists, FROM_HOST)) if upper is not None else "",
        "tmpfs": "" if upper is not None else "exec" if programs_in_tmp else "noexec",
    }
    return [*script, "env", "-i", "-C", image.workdir, *values, *command], variables


class Builder:
    """Makes the stages of a Dockerfile, each below `folder`, and each once."""

    def __init__(self, context: Path, folder: Path, base: Path, **arguments: str) -> None:
        """`arguments` are the `--build-arg`s, for the stages that know them."""
        self._arguments = arguments
        self._context = context
        self._folder = folder
        self._base = base
        self._stages = read_stages(context / "Dockerfile")
        self._ignored = Ignored((context / ".dockerignore").read_text(encoding="utf-8"))
        self._made: dict[str, Image] = {}

    def make(self, name: str) -> Image:
        """The image of a stage.

        Raises:
            AssertionError: a RUN failed; has its output.
        """
        if name not in self._made:
            stage = self._stages[name]
            below = Image((self._base,))
            if stage.base in self._stages:
                below = self.make(stage.base)
            given = {n: self._arguments.get(n, value) for n, value in stage.arguments.items()}
            self._made[name] = self._carry_out(stage, below, given)
        return self._made[name]

    def _carry_out(self, stage: Stage, image: Image, arguments: dict[str, str]) -> Image:
        upper = self._folder / stage.name / "upper"
        upper.mkdir(parents=True)
        scratch = upper.parent
        for step in stage.steps:
            rest = step.rest
            if step.keyword == "RUN":
                passed = {n: os.environ[n] for n in PASSED_ON if n in os.environ}
                self._run(image, ["sh", "-c", rest], scratch, {**passed, **arguments})
            elif step.keyword == "COPY":
                self._copy(image, substitute(rest, dict(image.environment)).split(), scratch)
            elif step.keyword == "ENV":
                values = assignments(substitute(rest, dict(image.environment)))
                image = replace(image, environment={**image.environment, **values})
            else:
                image = _noted(image, step.keyword, rest)
                if step.keyword == "WORKDIR":
                    (upper / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return replace(image, layers=(upper, *image.layers))

    def _run(
        self, image: Image, command: list[str], scratch: Path, variables: Mapping[str, str]
    ) -> None:
        words, outer = enter(
            image, command, scratch, upper=scratch / "upper", environment=variables
        )
        done = subprocess.run(words, env=outer, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"RUN {command[-1]} failed:\n{done.stdout}{done.stderr}")

    def _copy(self, image: Image, words: list[str], scratch: Path) -> None:
        """Put files into the stage, owned by root as COPY does."""
        source = [word for word in words if not word.startswith("--")]
        stages = [word.removeprefix("--from=") for word in words if word.startswith("--from=")]
        target = source.pop()
        inside = target if target.startswith("/") else f"{image.workdir}/{target}"
        staged = scratch / "staged"
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir()
        for path in source:
            if stages:
                self._take(self.make(stages[0]), path, staged)
            else:
                self._gather(path, staged)
        # A folder's content is copied, not the folder; a file goes into a path that ends in "/".
        (only,) = staged.iterdir() if len(source) == 1 else (None,)
        if only is not None and (only.is_dir() or not target.endswith("/")):
            copying = f"cp -a /mnt/{only.name}{'/.' if only.is_dir() else ''} '{inside}'"
            parent = inside if only.is_dir() else os.path.dirname(inside)  # noqa: PTH120
        else:
            copying, parent = f"cp -a /mnt/. '{inside}'", inside
        command = ["sh", "-c", f"mkdir -p '{parent}' && {copying}"]
        as_root = replace(image, user="0:0", workdir="/")
        words, outer = enter(
            as_root, command, scratch, upper=scratch / "upper", volumes={"/mnt": (staged, "ro")}
        )
        subprocess.run(words, env=outer, check=True)

    def _gather(self, path: str, staged: Path) -> None:
        found = self._context / path
        files = sorted(found.rglob("*")) if found.is_dir() else [found]
        (staged / found.name).mkdir() if found.is_dir() else None
        for file in files:
            name = file.relative_to(self._context).as_posix()
            if file.is_file() and not self._ignored(name):
                placed = staged / found.name
                if found.is_dir():
                    placed /= file.relative_to(found)
                placed.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, placed)
        if not any(each.is_file() for each in staged.rglob("*")):
            raise AssertionError(f"COPY {path}: nothing there that .dockerignore lets through")

    def _take(self, image: Image, path: str, staged: Path) -> None:
        archive = staged.with_name("taken.tar")
        as_root = replace(image, user="0:0", workdir="/")
        command = ["tar", "--create", "--directory", os.path.dirname(path)]  # noqa: PTH120
        words, outer = enter(as_root, [*command, os.path.basename(path)], staged.parent)  # noqa: PTH119
        with archive.open("wb") as output:
            subprocess.run(words, env=outer, stdout=output, check=True)
        with tarfile.open(archive) as content:
            for member in content:
                member.uid = member.gid = 0
                member.uname = member.gname = "root"
                content.extract(member, staged, filter="fully_trusted", numeric_owner=True)


def _noted(image: Image, keyword: str, rest: str) -> Image:
    """The image after an instruction that changes no file."""
    if keyword == "ENTRYPOINT":
        return replace(image, entrypoint=tuple(command_of(rest)), command=())
    if keyword == "CMD":
        return replace(image, command=tuple(command_of(rest)))
    if keyword == "HEALTHCHECK":
        return replace(image, healthcheck=tuple(healthcheck_of(rest)))
    if keyword == "EXPOSE":
        return replace(image, ports=(*image.ports, *rest.split()))
    if keyword == "WORKDIR":
        return replace(image, workdir=rest)
    assert keyword == "USER", keyword
    return replace(image, user=rest)
