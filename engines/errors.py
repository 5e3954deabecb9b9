"""What can go wrong while an engine is made. Every message says what to do next."""

from __future__ import annotations


class EngineError(Exception):
    """Base of all errors of the engine side."""


class DataError(EngineError):
    """Training or evaluation data is missing or malformed."""


class BaseModelError(EngineError):
    """The base encoder is missing or its bytes are not the expected ones."""


class AdapterError(EngineError):
    """An adapter is missing, corrupt, or made for another base."""


class GateError(EngineError):
    """An engine did not pass the gate."""


class PromotionError(EngineError):
    """A version could not be made the one that is served; the one before still is."""


class PriceError(EngineError):
    """A list of prices is missing or malformed, or names two prices for the same hardware."""


class CheckpointError(EngineError):
    """A checkpoint cannot be imported: something is missing, corrupt, or of another kind."""


class GpuNotUsable(EngineError):
    """There is no GPU that a runtime could use, or the runtime is missing."""


class PlanError(EngineError):
    """A TensorRT plan cannot be built or served: a rule is broken, memory or another GPU."""
