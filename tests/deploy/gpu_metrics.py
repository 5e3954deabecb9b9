"""What a Triton with a GPU shows of it, without either: an exporter of fixed figures.

No GPU is where the tests run. Names, labels and units are those of Triton's documentation
(https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md), so what
this shows is that the panels ask for what is written there, not that a Triton shows it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UUID = "GPU-00000000-0000-0000-0000-000000000050"
DOCUMENTED = {
    "nv_gpu_utilization": 0.42,
    "nv_gpu_memory_total_bytes": 24e9,
    "nv_gpu_memory_used_bytes": 3e9,
    "nv_gpu_power_usage": 80.5,
    "nv_gpu_power_limit": 300.0,
    "nv_energy_consumption": 1234.5,
}


def exposition() -> str:
    """The figures of one GPU, as Prometheus reads them."""
    lines = []
    for name, value in DOCUMENTED.items():
        kind = "counter" if name == "nv_energy_consumption" else "gauge"
        lines += [f"# TYPE {name} {kind}", f'{name}{{gpu_uuid="{UUID}"}} {value:f}']
    return "\n".join(lines) + "\n"


@contextmanager
def gpu_exporter() -> Iterator[int]:
    """A server of these figures on loopback; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = exposition().encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
