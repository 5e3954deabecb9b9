"""The commands that bring engines to a server: `sub50 engines checksums`, `deliver`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from engines.commands import DEFAULT_REPOSITORY, AsJson, Repository, carry_out, print_json


class Device(StrEnum):
    """Where engines run."""

    CPU = "cpu"
    GPU = "gpu"


def add_deliver_commands(app: typer.Typer) -> None:
    """Add the two commands to the group of those on engines."""
    app.command("checksums")(list_checksums)
    app.command("deliver")(deliver_engines)


def list_checksums(repository: Repository = DEFAULT_REPOSITORY) -> None:
    """Print the SHA-256 of every file that is served, as sha256sum does."""
    from engines.checksum_list import checksum_lines

    typer.echo("\n".join(carry_out(lambda: checksum_lines(repository))))


def deliver_engines(
    source: Annotated[Path, typer.Argument(help="The repository where the engines were built.")],
    destination: Annotated[Path, typer.Argument(help="Where the server reads them; replaced.")],
    checksums: Annotated[
        Path | None,
        typer.Option(help="What `sub50 engines checksums` printed; any other file is refused."),
    ] = None,
    cores: Annotated[
        int | None,
        typer.Option(min=1, help="Cores that the server's container may use, for its threads."),
    ] = None,
    instances: Annotated[
        int, typer.Option(min=1, help="Instances of each engine that share the cores.")
    ] = 1,
    device: Annotated[Device, typer.Option(help="Where the engines run.")] = Device.CPU,
    for_gpu: Annotated[
        str | None,
        typer.Option(help="For TensorRT plans: the server's GPU, if it is not this machine's."),
    ] = None,
    for_tensorrt: Annotated[
        str | None, typer.Option(help="For TensorRT plans: the version that the server has.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy the engines that are served, checked before and after; exit 1 if one is not as built."""
    from engines.deliver import Fit, deliver

    delivered = carry_out(
        lambda: deliver(
            source,
            destination,
            checksums,
            Fit(cores, instances, device.value, for_gpu, for_tensorrt),
        )
    )
    if as_json:
        print_json(delivered)
        return
    said = f"delivered {len(delivered)} files, as built, to {destination}"
    Console(stderr=True).print(said, markup=False, highlight=False, soft_wrap=True)
