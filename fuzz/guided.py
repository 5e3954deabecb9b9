"""One process of Atheris: inputs that reach new lines of ours are kept and changed further.

`python -m fuzz.guided REPOSITORY [options and folders of libFuzzer]`. It ends with libFuzzer.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import atheris
from fastapi import FastAPI

with atheris.instrument_imports(include=["core", "service"]):
    from service.app import create_app
    from service.settings import Settings

from fuzz.in_process import SETTINGS, Judge, ask, request_of
from tests.fake_triton import running_fake_triton
from tests.service.conftest import MODELS, write_repository


def main() -> None:
    """Run libFuzzer over the application until it has had its number of inputs, or found one."""
    repository = Path(sys.argv.pop(1))
    write_repository(repository)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    triton = running_fake_triton(MODELS)
    target = loop.run_until_complete(triton.__aenter__()).target

    async def make() -> tuple[FastAPI, Judge]:
        app = create_app(Settings(repository=repository, **SETTINGS), target)
        return app, Judge(app)

    app, judge = loop.run_until_complete(make())

    def test_one_input(data: bytes) -> None:
        method, path, content_type, body = request_of(data)
        answer = loop.run_until_complete(ask(app, method, path, content_type, body))
        judge.check(method, path, answer)

    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
