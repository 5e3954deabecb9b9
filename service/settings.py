"""Every setting: default, help line, environment variable `SUB50_<NAME>`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ENVIRONMENT_PREFIX = "SUB50_"
ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_-]+(\.[a-z0-9_-]+)*)(:[0-9]{1,5})?")


def _not_empty(key: SecretStr) -> SecretStr:
    if not key.get_secret_value():
        raise ValueError("a key is empty, which would let everybody in")
    return key


def _words(given: Any) -> Any:
    """A list as a variable has it: words with commas or spaces between them."""
    return tuple(given.replace(",", " ").split()) if isinstance(given, str) else given


def _origin(origin: str) -> str:
    if not ORIGIN.fullmatch(origin):
        raise ValueError(
            "is no origin; name each as a browser does, such as https://app.example or "
            "http://localhost:3000, in small letters, without a path; there is none for all"
        )
    return origin


Page = Literal["board", "docs", "metrics", "readyz"]
Origin = Annotated[str, AfterValidator(_origin)]
Key = Annotated[SecretStr, AfterValidator(_not_empty)]


class Settings(BaseSettings):
    """The service's configuration, read once at start and frozen."""

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT_PREFIX, frozen=True)

    host: str = Field("127.0.0.1", description="Address that the HTTP API listens on.")
    port: int = Field(8080, ge=0, le=65535, description="Port of the HTTP API; 0 picks a free one.")
    triton: str | None = Field(
        None,
        description="gRPC target of a running Triton, such as dns:///triton:8001; "
        "`sub50 serve` starts its own and ignores this.",
    )
    repository: Path = Field(
        Path("model_repository"), description="Folder with the models that Triton serves."
    )
    interactive_tokens: int = Field(
        512, ge=1, description="Requests of up to this many tokens in all are interactive."
    )
    interactive_timeout_ms: float = Field(
        50,
        gt=0,
        description="The promise to interactive requests; one that would miss it is refused.",
    )
    late_answer_ms: float = Field(
        50,
        ge=0,
        description="So long past the promise an answer under way is still sent, late, to callers "
        "who set no deadline; then it fails with 504.",
    )
    margin_ms: float = Field(
        4,
        ge=0,
        description="Kept free of every deadline, for what no prediction sees; it grows by itself "
        "where predictions fall short.",
    )
    engine_lanes: int | None = Field(
        None,
        ge=1,
        description="Engine calls that run side by side; by default the instances that the "
        "embedded Triton has or that each engine was tuned to, or 1.",
    )
    call_tokens: int = Field(
        256, ge=1, description="Tokens of waiting requests that share one call to Triton."
    )
    bulk_timeout_ms: float = Field(
        120_000, gt=0, description="Time a bulk request may take; callers may ask for less."
    )
    bulk_slice_tokens: int = Field(
        96, ge=1, description="Tokens of one Triton request cut from a bulk request."
    )
    inflight_tokens: int = Field(
        400_000, ge=1, description="Estimated tokens admitted and unfinished; more are refused."
    )
    max_inputs: int = Field(128, ge=1, description="Texts in one request.")
    max_text_bytes: int = Field(1 << 20, ge=1, description="UTF-8 bytes of one text.")
    max_body_bytes: int = Field(
        8 << 20, ge=1, description="Bytes of one HTTP body; JSON escapes can make a text longer."
    )
    max_header_bytes: int = Field(
        32_768, ge=1024, description="Bytes of a request's first line and its headers."
    )
    max_headers: int = Field(100, ge=10, description="Headers of one request.")
    header_seconds: float = Field(
        10.0,
        gt=0,
        description="Time for a new connection, or a request begun, to send headers.",
    )
    body_seconds: float = Field(
        10.0,
        gt=0,
        description="Time for a body to come; for each SUB50_SLOWEST_BYTES_PER_SECOND of it, a "
        "second more.",
    )
    answer_seconds: float = Field(
        10.0, gt=0, description="Time for a client to read what waits for it, and likewise more."
    )
    slowest_bytes_per_second: int = Field(
        16_384, ge=1, description="The rate that a longer body or answer has to keep up with."
    )
    idle_seconds: int = Field(
        75, ge=1, description="Time that a connection stays open without a request."
    )
    max_received_bytes: int = Field(
        256 << 20, ge=1, description="Bytes held of bodies that are still coming; more are refused."
    )
    max_connections: int = Field(
        4096, ge=1, description="Open connections; the one idle longest makes room for another."
    )
    max_connections_per_address: int = Field(
        512,
        ge=0,
        description="Likewise those of one address, or one /64 of IPv6; 0 for any number, as "
        "behind a proxy.",
    )
    pages_per_second: float = Field(
        500,
        gt=0,
        allow_inf_nan=False,
        description="Requests a second that run no model, such as pages and probes; more wait for "
        "their turn, each address for its own. Dear ones, such as /metrics, have a fiftieth.",
    )
    api_keys: tuple[Key, ...] = Field(
        (),
        description="JSON list of keys, one of which callers must send, each plain or as a line of "
        "the file; empty asks for none.",
    )
    api_keys_file: Path | None = Field(
        None,
        description="File with more such keys, a line `NAME sha256:HASH` each, as `sub50 keys new` "
        "prints it; changes are taken over while serving.",
    )
    key_requests_per_second: float | None = Field(
        None,
        gt=0,
        description="Requests a second that each name of a key may make, unless its line has "
        "`rate=`; empty is no limit.",
    )
    management_keys_file: Path | None = Field(
        None,
        description="File with keys of the same form that promote engines over HTTP and open "
        "closed pages; without it nothing is managed over HTTP.",
    )
    closed_pages: Annotated[tuple[Page, ...], NoDecode, BeforeValidator(_words)] = Field(
        (),
        description="Of board, docs, metrics and readyz, with commas between them, those that ask "
        "for a management key; where there is none they are not there. /readyz always says whether "
        "it is ready, and closed not which model is not.",
    )
    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_words)] = Field(
        (),
        description="Origins whose pages may ask from within a browser, such as "
        "https://app.example, with commas between them; empty is none.",
    )
    readiness_seconds: float = Field(
        1.0, gt=0, description="How long an answer of /readyz is kept before Triton is asked again."
    )
    drain_seconds: float = Field(
        5.0,
        ge=0,
        description="After SIGTERM requests are still served for so long, while /readyz says no, "
        "so that whoever sends them here notices.",
    )
    triton_start_seconds: float = Field(
        60.0,
        gt=0,
        description="Time that Triton may take at start until it has all models; `sub50 api` ends "
        "where one elsewhere takes longer, and with `inf` waits for ever.",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="How log lines are written: text for people, json for programs."
    )
    log_requests: Literal["all", "slow_and_failed", "none"] = Field(
        "slow_and_failed",
        description="Requests that are logged, a line each: all, those answered later than "
        "promised or failed for a reason of ours (5xx), or none.",
    )
    triton_niceness: int = Field(
        0,
        ge=0,
        le=19,
        description="How far the embedded Triton and its engines stand back for the API where both "
        "want a core, as in nice(1), so that refusals need not wait; only where no other busy "
        "program shares the cores, for it would starve the engines.",
    )
    triton_metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="Port on loopback for the embedded Triton's own metrics, which are closed "
        "without one; 0 picks a free one.",
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="Least severe log line shown."
    )

    @property
    def asks_for_keys(self) -> bool:
        """Whether callers have to send a key."""
        return bool(self.api_keys) or self.api_keys_file is not None
