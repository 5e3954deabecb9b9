"""What `sub50 engines tune` needs where it runs in an image, which has nothing to draw with."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import sys
for name in ("jinja2", "matplotlib", "mlflow", "openvino", "torch"):
    sys.modules[name] = None
import engines.tune_command, engines.cuda_made, engines.tune_unmeasured
"""


def test_neither_pages_nor_plots_nor_other_runtimes_are_needed() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
