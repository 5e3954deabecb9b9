"""The command line, the environment and the folder that the embedded Triton is started with."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import tempfile
import venv
from dataclasses import dataclass, field
from pathlib import Path

from service.errors import ServeError
from service.triton.backends import SHARED, SOURCES
from service.triton.installation import Installation, package_folder

ADDRESS = "127.0.0.1"
SCRATCH_PREFIX = "sub50-triton-"
# Triton joins address and port with a colon, in the name of a Unix socket too.
SOCKET, SOCKET_PORT = "grpc", 0
# The kernel takes 107 bytes of a Unix socket's path; mkdtemp adds eight to the prefix.
LONGEST_TEMPORARY_FOLDER_BYTES = 107 - len(f"/{SCRATCH_PREFIX}12345678/{SOCKET}:{SOCKET_PORT}")
CONTROL_HEADER = "x-sub50-control"
# gRPC wants a prefix before the header that opens a restricted call.
CONTROL_METADATA_KEY = f"triton-grpc-protocol-{CONTROL_HEADER}"
EXIT_TIMEOUT_SECONDS = 5
# It takes 3 MB, most of it the stub.
SCRATCH_MEGABYTES = 10
# Those that are not installed are left out: OpenVINO is optional.
BACKEND_PACKAGES = ("numpy", "onnxruntime", "openvino")
INHERITED_VARIABLES = (
    "HOME", "LANG", "LC_ALL", "TZ", "LD_PRELOAD", "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER",
)  # fmt: skip


def random_token() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Launch:
    """Everything about one start of Triton. Ports are numbers that were found free.

    Without `grpc_port` Triton answers gRPC on a Unix socket in `scratch`, where nobody but our user
    gets; without the other ports its metrics, and its HTTP endpoint, are closed.

    `connection_age_ms` is how old a client's connection may become before it has to connect again;
    None is any age. `niceness`, 0 to 19, is how far it stands back for others who want a core.

    `server_id` is the name under which the server answers: it tells ours from another that
    took the port first. `control_token` opens the calls that load and unload models.
    """

    grpc_port: int | None
    metrics_port: int | None
    http_port: int | None
    scratch: Path
    address: str = ADDRESS
    connection_age_ms: int | None = None
    niceness: int = 0
    server_id: str = field(default_factory=lambda: f"sub50-{os.getpid()}-{secrets.token_hex(4)}")
    control_token: str = field(default_factory=random_token)

    @property
    def grpc_address(self) -> tuple[str, int]:
        """Where gRPC is answered, as Triton takes it: address and port."""
        if self.grpc_port is None:
            return f"unix:{self.scratch / SOCKET}", SOCKET_PORT
        return self.address, self.grpc_port

    @property
    def grpc_target(self) -> str:
        """Where a client of gRPC finds it: Triton joins the two like this."""
        address, port = self.grpc_address
        return f"{address}:{port}"

    @property
    def shared_memory_prefix(self) -> str:
        """Start of the name of every region in /dev/shm; unique, so that it can be removed."""
        return f"{self.server_id}-"


def make_scratch(installation: Installation, repository: Path) -> Path:
    """A private folder: the backends as Triton wants them laid out, and a way to the models.

    Triton hands the paths of stub and model to bash unquoted, so both are reached through this
    folder, whose own path holds no special character. It is short enough for the socket's.

    Raises ServeError if it cannot be written; then nothing is left of it.
    """
    base = _temporary_folder()
    scratch: Path | None = None
    try:
        scratch = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=base))
        _lay_out(scratch, installation, repository)
    except OSError as error:
        # Left there, what was copied would take room from the next try.
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)
        raise ServeError(
            f"Triton cannot be laid out in the temporary folder {base}: {error.strerror}. Free "
            f"{SCRATCH_MEGABYTES} MB there, or name another folder with TMPDIR, in letters, digits "
            f"and ._-/ and at most {LONGEST_TEMPORARY_FOLDER_BYTES} of them."
        ) from error
    return scratch


def _temporary_folder() -> str:
    try:
        base = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise ServeError(
            f"{error.strerror}: free {SCRATCH_MEGABYTES} MB in one of them, or name another folder "
            "with TMPDIR."
        ) from error
    if not re.fullmatch(rf"[A-Za-z0-9_./-]{{1,{LONGEST_TEMPORARY_FOLDER_BYTES}}}", base):
        return "/tmp"  # noqa: S108  (mkdtemp makes a private folder in it)
    return base


def _lay_out(scratch: Path, installation: Installation, repository: Path) -> None:
    (scratch / "models").symlink_to(repository.resolve(), target_is_directory=True)
    python = scratch / "backends" / "python"
    python.mkdir(parents=True)
    # Copies: Triton refuses a backend library that is a link to elsewhere.
    for name in ("libtriton_python.so", "triton_python_backend_utils.py"):
        shutil.copy(installation.python_backend / name, python)
    shutil.copy(installation.stub, python)
    for backend, source in SOURCES.items():
        folder = scratch / "backends" / backend
        folder.mkdir()
        for file in (source, *SHARED):
            shutil.copy(file, folder)
    libraries = scratch / "libraries"
    libraries.mkdir()
    if installation.python_library is not None:
        (libraries / installation.python_library.name).symlink_to(installation.python_library)
    make_python(scratch / "python")


def make_python(folder: Path) -> None:
    """A virtual environment of the running Python that sees the packages a backend imports.

    A stub embeds Python in isolated mode: it ignores PYTHONHOME and PYTHONPATH and takes the
    environment of whatever `python3` comes first in PATH. So that one is made here.
    """
    venv.create(folder, symlinks=True)
    found = [package_folder(name) for name in BACKEND_PACKAGES]
    roots = dict.fromkeys(str(package.parent) for package in found if package is not None)
    major, minor = sys.version_info[:2]
    site_packages = folder / "lib" / f"python{major}.{minor}" / "site-packages"
    (site_packages / "backends.pth").write_text("\n".join(roots) + "\n", "utf-8")


def environment(installation: Installation, scratch: Path) -> dict[str, str]:
    """Variables for Triton and its stubs: few, so that no secret of ours reaches them."""
    variables = {name: os.environ[name] for name in INHERITED_VARIABLES if name in os.environ}
    libraries = [str(scratch / "libraries"), str(installation.libraries)]
    if os.environ.get("LD_LIBRARY_PATH"):
        libraries.append(os.environ["LD_LIBRARY_PATH"])
    path = [str(scratch / "python" / "bin"), os.environ.get("PATH", os.defpath)]
    return variables | {
        "PATH": os.pathsep.join(path),
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "TMPDIR": str(scratch),
        # The engines bring their own threads; NumPy only joins and splits arrays.
        "OPENBLAS_NUM_THREADS": "1",
    }


def arguments(installation: Installation, launch: Launch) -> list[str]:
    """The command that starts Triton: on a socket or loopback, with no control open to others."""
    scratch = launch.scratch
    grpc_address, grpc_port = launch.grpc_address
    command = [
        str(installation.server),
        f"--id={launch.server_id}",
        f"--model-repository={scratch / 'models'}",
        f"--backend-directory={scratch / 'backends'}",
        # Starts empty: models are loaded by a call that holds the control token, with a
        # configuration of its own, and so can a new version of one later.
        "--model-control-mode=explicit",
        "--disable-auto-complete-config",
        "--strict-readiness=true",
        f"--exit-timeout-secs={EXIT_TIMEOUT_SECONDS}",
        "--log-info=false",
        "--log-warning=false",
        f"--grpc-address={grpc_address}",
        f"--grpc-port={grpc_port}",
        *endpoint("metrics", launch.address, launch.metrics_port),
        "--allow-gpu-metrics=false",
        "--allow-sagemaker=false",
        "--allow-vertex-ai=false",
        *endpoint("http", launch.address, launch.http_port),
        *restrictions("--grpc-restricted-protocol", launch),
        *restrictions("--http-restricted-api", launch),
    ]
    if launch.connection_age_ms is not None:
        command.append(f"--grpc-max-connection-age={launch.connection_age_ms}")
    for backend in ("python", *SOURCES):
        setting = f"shm-region-prefix-name={launch.shared_memory_prefix}"
        command.append(f"--backend-config={backend},{setting}")
    return command


def endpoint(name: str, address: str, port: int | None) -> list[str]:
    """The options of an endpoint that speaks HTTP; without a port it is closed."""
    if port is None:
        return [f"--allow-{name}=false"]
    return [f"--{name}-address={address}", f"--{name}-port={port}"]


def restrictions(option: str, launch: Launch) -> list[str]:
    """Loading models takes our token; the rest of the controls one that nobody keeps."""
    return [
        f"{option}=model-repository:{CONTROL_HEADER}={launch.control_token}",
        f"{option}=shared-memory,trace,logging:{CONTROL_HEADER}={random_token()}",
    ]
