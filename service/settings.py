"""Every setting: default, help line, environment variable `SUB50_<NAME>`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

ENVIRONMENT_PREFIX = "SUB50_"


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
    api_keys: tuple[SecretStr, ...] = Field(
        (), description="JSON list of keys, one of which callers must send; empty asks for none."
    )
    readiness_seconds: float = Field(
        1.0, gt=0, description="How long an answer of /readyz is kept before Triton is asked again."
    )
    triton_start_seconds: float = Field(
        60.0, gt=0, description="Time the embedded Triton may take to load all models."
    )
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="Least severe log line shown."
    )
