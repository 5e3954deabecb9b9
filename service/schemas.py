"""Request and response models of the HTTP contract. Unknown fields are refused, not ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    RootModel,
    WithJsonSchema,
)


def _listed(value: object) -> object:
    """A single text stands for a list of one."""
    return [value] if isinstance(value, str) else value


def _whole(value: object) -> object:
    """JSON has one kind of number: 3.0 is as whole as 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# A character that is white space neither to us nor to who reads the document: not all agree.
TEXT: dict[str, Any] = {"type": "string", "pattern": r"[^\s\u001c-\u001f\u0085\ufeff]"}
Texts = Annotated[
    list[str],
    # One wrong text is told; an error for each of thousands would cost more than any answer.
    FailFast(),
    BeforeValidator(_listed),
    WithJsonSchema(
        {
            "anyOf": [TEXT, {"type": "array", "items": TEXT, "minItems": 1}],
            "description": "One text, or several.",
        }
    ),
]
# The shapes that Text Embeddings Inference knows; a list of two texts is a pair, which none takes.
TextOrBatch = Annotated[
    str | list[str] | list[list[str]],
    WithJsonSchema(
        {
            "anyOf": [
                TEXT,
                {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 1},
                {
                    "type": "array",
                    "items": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 1},
                    "minItems": 1,
                },
            ],
            "description": '"text", ["text"], or a batch [["text"], ["text"]].',
        }
    ),
]
# The validator comes last, so that the document keeps the bound.
Count = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
Share = Annotated[float, Field(gt=0, le=1)]


class RequestModel(BaseModel):
    """Strict: a number is no string, NaN is no number, a misspelt field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ClassifyRequest(RequestModel):
    """Body of POST /v1/classify."""

    input: Texts
    model: str = Field("sentiment", description="A model whose task is classify.")
    top_k: Count | None = Field(
        None, description="How many labels `scores` lists, best first; all by default."
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
    max_sentences: Count | None = Field(
        None, description="At most so many sentences; 3 if no limit is given."
    )
    max_words: Count | None = Field(None, description="At most so many words in all.")
    ratio: Share | None = Field(None, description="At most this share of the document's sentences.")


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


class PredictAnswer(RootModel[list[LabelScore] | list[list[LabelScore]]]):
    """Labels of a text, best first; of a batch, a list of them for each."""


class SummaryText(ResponseModel):
    summary_text: str


class TaskAnswer(RootModel[list[list[LabelScore]] | list[SummaryText]]):
    """Labels of each text, best first, or its summary: by the model's task."""


class ReadinessBody(ResponseModel):
    """Body of GET /readyz."""

    ready: bool
    models: dict[str, str] = Field(
        description="By model: ok, or why it does not answer; empty where that is for managers."
    )


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

    inputs: TextOrBatch
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
    top_k: Count | None = None


class SummarizationLimits(RequestModel):
    max_sentences: Count | None = None
    max_words: Count | None = None
    ratio: Share | None = None


class SummarizationParameters(SummarizationLimits):
    clean_up_tokenization_spaces: bool | None = None
    truncation: str | None = None
    generate_parameters: SummarizationLimits = SummarizationLimits()
