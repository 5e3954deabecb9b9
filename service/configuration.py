"""Reads the settings, and says what is wrong with them in words that name the setting."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.errors import ServeError
from service.keys.store import KeyStore
from service.settings import ENVIRONMENT_PREFIX, Settings

# Variables with our prefix that other commands than the service's read.
OTHER_VARIABLES = ("SUB50_API_KEY", "SUB50_PEER_HANDWRITTEN", "SUB50_TRACKING_URI", "SUB50_URL")
# What they hold is never shown.
SECRETS = ("api_keys",)
# Kubernetes adds variables for every Service of the namespace, named after it: one that is called
# sub50-triton brings SUB50_TRITON_SERVICE_HOST and these.
SERVICE_HOST = "_SERVICE_HOST"
SERVICE_LINK = re.compile(
    r"_SERVICE_(HOST|PORT(_\w+)?)|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?"
)
LINK_VALUE = re.compile(r"(tcp|udp|sctp)://")
URL = re.compile(r"(?i)(https?|grpcs?)://")


def read_settings(given: Mapping[str, Any]) -> Settings:
    """Settings from `given` where it holds a value, then the environment, then defaults.

    Raises:
        ServeError: a variable with our prefix is no setting, or a setting has a wrong value; the
            message names it, and never shows a secret.
    """
    _refuse_unknown(os.environ)
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise ServeError(_what_is_wrong(error)) from None
    except SettingsError:
        # The only settings that are read as JSON; the library's message would not say so.
        raise ServeError(
            f"setting api_keys ({variable('api_keys')}): is not valid JSON; give it as "
            f"""'["KEY", "ANOTHER"]', or name a file with {variable("api_keys_file")}"""
        ) from None
    if settings.triton is not None and URL.match(settings.triton):
        raise ServeError(
            f"setting triton ({variable('triton')}): {settings.triton!r} is no gRPC target; it "
            "looks like 127.0.0.1:8001 or dns:///triton:8001"
        )
    KeyStore(settings)  # not only once Triton has been started for nothing
    return settings


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return f"{ENVIRONMENT_PREFIX}{name.upper()}"


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {*map(variable, Settings.model_fields), *OTHER_VARIABLES}
    ours = sorted(name for name in environment if name.upper().startswith(ENVIRONMENT_PREFIX))
    unknown = [
        name for name in ours if name.upper() not in known and not is_service_link(name, ours)
    ]
    if unknown:
        lines = (f"{name} is no setting{_nearest(name, known)}" for name in unknown)
        raise ServeError("; ".join(lines) + "; correct it or unset it. README.md lists them all")


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.75)
    return f" (is {close[0]} meant?)" if close else ""


def is_service_link(name: str, names: Iterable[str]) -> bool:
    """Whether Kubernetes made that variable, going by the other `names` of the environment."""
    services = (other.removesuffix(SERVICE_HOST) for other in names if other.endswith(SERVICE_HOST))
    return any(
        name.startswith(service) and SERVICE_LINK.fullmatch(name.removeprefix(service))
        for service in services
    )


def _what_is_wrong(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "settings"
    message = first["msg"].removeprefix("Value error, ")
    told = f"setting {name} ({variable(name)}): {message}"
    if name in SECRETS:
        return f"{told}; its value is a secret, and not shown"
    told += f", got {str(first['input'])!r}"
    if LINK_VALUE.match(str(first["input"])):
        told += (
            "; Kubernetes set it for a Service of that name: give the Service another name, or the "
            "pod `enableServiceLinks: false`"
        )
    return told
