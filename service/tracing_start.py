"""Whether requests are traced: what OpenTelemetry's standard variables say, checked at start."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec

from service.errors import ServeError
from service.trace import Tracing

EXPORTER = "OTEL_TRACES_EXPORTER"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SAMPLER, SHARE = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
SAMPLERS = ("always_on", "always_off", "traceidratio")
NEEDED = "opentelemetry.exporter.otlp.proto.http"


def tracing_wanted(environment: Mapping[str, str]) -> bool:
    """Whether a variable names an exporter or a collector, and none turns tracing off.

    Raises:
        ServeError: a variable has a value that cannot be heeded, or a package is missing.
    """
    exporter = environment.get(EXPORTER, "").strip().lower()
    if exporter not in ("", "otlp", "none"):
        raise ServeError(f"{EXPORTER}: {exporter!r} is not known here; use otlp or none")
    endpoints = {name: environment[name] for name in ENDPOINTS if environment.get(name)}
    disabled = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or exporter == "none" or not (exporter or endpoints):
        return False
    for name, endpoint in endpoints.items():
        if not endpoint.startswith(("http://", "https://")):
            raise ServeError(f"{name}: {endpoint!r} is no URL; it looks like http://HOST:4318")
    for name in PROTOCOLS:
        protocol = environment.get(name, "http/protobuf")
        if protocol != "http/protobuf":
            raise ServeError(
                f"{name}: {protocol!r} is not spoken here; use http/protobuf (port 4318 of most "
                "collectors)"
            )
    _check_sampler(environment)
    if not _installed():
        raise ServeError(
            f"tracing is asked for ({EXPORTER} or {ENDPOINTS[1]}) and not installed: "
            "`pip install 'sub50[otel]'`, or unset them"
        )
    return True


def _check_sampler(environment: Mapping[str, str]) -> None:
    sampler = environment.get(SAMPLER, SAMPLERS[0]).strip().lower()
    if sampler.removeprefix("parentbased_") not in SAMPLERS:
        known = ", ".join([*SAMPLERS, *(f"parentbased_{name}" for name in SAMPLERS)])
        raise ServeError(f"{SAMPLER}: {sampler!r} is not known; use one of {known}")
    if sampler.endswith("traceidratio"):
        share = environment.get(SHARE, "1")
        try:
            fits = 0 <= float(share) <= 1
        except ValueError:
            fits = False
        if not fits:
            raise ServeError(f"{SHARE}: {share!r} is no share; give a number from 0 to 1")


def _installed() -> bool:
    try:
        return find_spec(NEEDED) is not None
    except ModuleNotFoundError:
        return False


@contextmanager
def tracing() -> Iterator[Tracing | None]:
    """Tracing as the environment asks for it, or None; what waits is sent at the end.

    Raises:
        ServeError: a variable has a value that cannot be heeded, or a package is missing.
    """
    if not tracing_wanted(os.environ):
        yield None
        return
    try:
        from service.tracing import OtelTracing

        started = OtelTracing.to_collector()
    except ValueError as error:  # such as a propagator that is not known
        raise ServeError(f"an OTEL_ variable cannot be heeded: {error}; correct it") from error
    try:
        yield started
    finally:
        started.close()
