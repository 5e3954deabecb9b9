"""The LitServe peer: the same INT8 file with LitServe's own batching.

    pip install 'sub50[peers]'
    python -m loadtest.peers.litserve_server --port 8082

A batch is padded to its longest text. The defaults were the best of those tried on two cores:
first in single runs, then the batch sizes in turns, open loop, sentences, four runs of 5 s each;
requests that took over 50 ms, in percent:

| workers | threads | batch, timeout | queue | 100/s | 180/s | 250/s |
|---|---|---|---|---|---|---|
| 2 | 1 | 4, 2 ms | ZeroMQ | 0 | 0.2 | 9 |
| 2 | 1 | 8, 2 ms | ZeroMQ | 0 | 3 | 25 |
| 2 | 1 | 1 | ZeroMQ | 0 | 5 | 75 |

Worse in the single runs: one worker with two threads, LitServe's default queue instead of ZeroMQ, a
batch timeout of 1 ms. A timeout of 0 makes the workers poll without a pause.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import litserve

from loadtest.peers.engine import DEFAULT_MODEL, Engine, Label, usable_cores


class Classifier(litserve.LitAPI):
    """LitServe's hooks around the engine; `setup` runs in each worker process."""

    def __init__(
        self, model: Path, threads: int, max_batch_size: int, batch_timeout_seconds: float
    ) -> None:
        super().__init__(
            max_batch_size=max_batch_size,
            batch_timeout=batch_timeout_seconds,
            api_path="/v1/classify",
        )
        self.model = model
        self.threads = threads

    def setup(self, device: str) -> None:
        self.engine = Engine(self.model, self.threads)

    def decode_request(self, request: dict[str, str]) -> str:
        return request["input"]

    def predict(self, texts: str | list[str]) -> Label | list[Label]:
        if isinstance(texts, str):  # how LitServe calls it without batching
            return self.engine.classify([texts])[0]
        return self.engine.classify(texts)

    def encode_response(self, output: Label) -> dict[str, list[dict[str, object]]]:
        return {"results": [output.model_dump()]}


def main() -> None:
    parser = argparse.ArgumentParser(description="The LitServe peer.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--workers", type=int, default=usable_cores(), help="processes that run the engine"
    )
    parser.add_argument("--api-servers", type=int, default=1, help="processes that speak HTTP")
    parser.add_argument("--threads", type=int, default=1, help="of one run of the engine")
    parser.add_argument("--max-batch-size", type=int, default=4)
    parser.add_argument("--batch-timeout-ms", type=float, default=2.0)
    parser.add_argument(
        "--fast-queue",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="ZeroMQ between the processes",
    )
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    options = parser.parse_args()
    server = litserve.LitServer(
        Classifier(
            options.model,
            options.threads,
            options.max_batch_size,
            options.batch_timeout_ms / 1e3,
        ),
        accelerator="cpu",
        workers_per_device=options.workers,
        fast_queue=options.fast_queue,
        healthcheck_path="/readyz",
    )
    server.run(
        host="127.0.0.1",
        port=options.port,
        num_api_servers=options.api_servers,
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )


if __name__ == "__main__":
    main()
