"""The hand-written peer: FastAPI and ONNX Runtime over the same INT8 file, without batching.

    python -m loadtest.peers.handwritten --port 8081

What a good engineer writes in an afternoon: a route, the tokenizer, the engine at the text's exact
length.

The defaults were the best of those tried on two cores, open loop, sentences, two runs of 4 s each;
requests that took over 50 ms, in percent, and the median of the two P99:

| workers | mode | threads | 150/s | 250/s |
|---|---|---|---|---|
| 2 | inline | 1 | 0, 22 ms | 0, 27 ms |
| 1 | inline | 2 | 7, 69 ms | 100, over 1 s |
| 1 | inline, spinning | 2 | 70, over 1 s | 95, over 1 s |
| 1 | thread | 1 | 6, 62 ms | 75, 801 ms |
| 1 | thread | 2 | 49, 492 ms | 33, 159 ms |
| 2 | thread | 1 | 50, 530 ms | 34, 149 ms |

The machine was busy with other work: only the order counts.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from loadtest.peers.engine import DEFAULT_MODEL, Engine, Label, usable_cores

# Workers are started by import, so their settings travel in the environment.
SETTINGS = "SUB50_PEER_HANDWRITTEN"


class Request(BaseModel):
    """The same body as ours, for one text."""

    input: str
    model: str = "sentiment"


class Answer(BaseModel):
    """One result."""

    results: list[Label]


def create_app() -> FastAPI:
    """The service, set up by the environment variable `SETTINGS` (threads, spinning, mode, model).

    Mode `thread` answers in FastAPI's thread pool, so that texts share the cores; mode `inline`
    answers on the event loop, one text after the other.
    """
    threads, spinning, mode, model = os.environ[SETTINGS].split(",", 3)
    engine = Engine(Path(model), int(threads), spinning == "1")
    app = FastAPI()

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        engine.classify(["ready"])
        return {"status": "ready"}

    if mode == "thread":

        @app.post("/v1/classify")
        def classify(request: Request) -> Answer:
            return Answer(results=engine.classify([request.input]))

    else:

        @app.post("/v1/classify")
        async def classify_inline(request: Request) -> Answer:
            return Answer(results=engine.classify([request.input]))

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description="The hand-written peer.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=usable_cores(), help="uvicorn's")
    parser.add_argument("--threads", type=int, default=1, help="of one run of the engine")
    parser.add_argument("--mode", choices=["thread", "inline"], default="inline")
    parser.add_argument("--spinning", action="store_true", help="let idle engine threads spin")
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    options = parser.parse_args()
    settings = [options.threads, int(options.spinning), options.mode, options.model]
    os.environ[SETTINGS] = ",".join(map(str, settings))
    uvicorn.run(
        "loadtest.peers.handwritten:create_app",
        factory=True,
        host="127.0.0.1",
        port=options.port,
        workers=options.workers,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
