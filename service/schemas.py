"""Request and response models of the HTTP contract. Unknown fields are refused, not ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    WithJsonSchema,
    field_validator,
)


def _listed(value: object) -> object:
    """A single text stands for a list of one."""
    return [value] if isinstance(value, str) else value


Texts = Annotated[
    list[str],
    # One wrong text is told; an error for each of thousands would cost more than any answer.
    FailFast(),
    BeforeValidator(_listed),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
            ],
            "description": "One text, or several.",
        }
    ),
]


class RequestModel(BaseModel):
    """Strict: a number is no string, NaN is no number, a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ClassifyRequest(RequestModel):
    """Body of POST /v1/classify."""

    input: Texts
    model: str = Field("sentiment", description="A model whose task is classify.")
    top_k: int | None = Field(
        None, ge=1, description="How many labels `scores` lists, best first; all by default."
    )
    truncate: Literal["right", "left", "error"] = Field(
        "right",
        description="Which side of a text that is too long is cut off; `error` refuses it.",
    )
    raw_scores: bool = Field(
        False,
        description="Logits instead of probabilities; a regression's score is its value anyway.",
    )


class SummarizeRequest(RequestModel):
    """Body of POST /v1/summarize. Where several limits are given, all of them hold."""

    input: Texts
    model: str = Field("general", description="A model whose task is summarize.")
    max_sentences: int | None = Field(
        None, ge=1, description="At most so many sentences; 3 if no limit is given."
    )
    max_words: int | None = Field(None, ge=1, description="At most so many words in all.")
    ratio: float | None = Field(
        None, gt=0, le=1, description="At most this share of the document's sentences."
    )

    @field_validator("ratio", mode="before")
    @classmethod
    def _whole_ratio(cls, value: object) -> object:
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class ResponseModel(BaseModel):
    """Built by us from checked values."""

    model_config = ConfigDict(frozen=True)


class LabelScore(ResponseModel):
    label: str
    score: float


class Classification(ResponseModel):
    """One text's labels.

    For a multi-label model `label` lists those over their threshold; a regression has one label,
    whose score is the value.
    """

    label: str | list[str]
    score: float | None = Field(
        description="Of `label`; the highest where it is a list, if any; of a regression the value."
    )
    scores: list[LabelScore]
    tokens: int = Field(description="Tokens that the model saw, special tokens included.")
    truncated: bool


class ClassifyResponse(ResponseModel):
    model: str
    version: str
    results: list[Classification]


class SummarySentence(ResponseModel):
    """`text` is `document[start:end]`, in code points."""

    text: str
    start: int
    end: int
    score: float


class Summary(ResponseModel):
    summary: str
    sentences: list[SummarySentence] = Field(description="In the document's order.")
    source_sentences: int
    tokens: int


class SummarizeResponse(ResponseModel):
    model: str
    version: str
    results: list[Summary]


class ModelSummary(ResponseModel):
    name: str
    version: str
    task: str
    description: str
    labels: list[str]
    precision: str
    backend: str
    max_tokens: int


class ModelList(ResponseModel):
    models: list[ModelSummary]


class ProblemBody(ResponseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[dict[str, str]] | None = None
    reason: str | None = None
    retry_after_seconds: int | None = None
    predicted_ms: float | None = Field(None, description="With reason predicted or late.")
    allowed_ms: float | None = Field(None, description="The deadline less what was spent of it.")


class PredictRequest(RequestModel):
    """Body of POST /predict, TEI's classification protocol."""

    inputs: str | list[str] | list[list[str]] = Field(
        description='"text", ["text"], or a batch [["text"], ["text"]].'
    )
    truncate: bool = False
    truncation_direction: Literal["left", "right", "Left", "Right"] = "right"
    raw_scores: bool = False


class HuggingFaceRequest(RequestModel):
    """Body of POST /hf/{model}, the Hugging Face task protocol."""

    inputs: Texts
    parameters: dict[str, Any] = Field(default_factory=dict)
    options: dict[str, Any] = Field(
        default_factory=dict, description="Taken for compatibility (use_cache, wait_for_model)."
    )


class TextClassificationParameters(RequestModel):
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None
    top_k: int | None = Field(None, ge=1)


class SummarizationLimits(RequestModel):
    max_sentences: int | None = Field(None, ge=1)
    max_words: int | None = Field(None, ge=1)
    ratio: float | None = Field(None, gt=0, le=1)


class SummarizationParameters(SummarizationLimits):
    clean_up_tokenization_spaces: bool | None = None
    truncation: str | None = None
    generate_parameters: SummarizationLimits = SummarizationLimits()
