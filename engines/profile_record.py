"""What a profile says, as JSON: where the time of a call, or of a step of training, goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from core.card import Record
from engines.spans import Round

# One call of an engine, or one step of a training.
What = Literal["call", "step"]


class Part(Record):
    """One of the stretches that a whole is made of; they add up to it."""

    name: str
    ms: float
    share: float = Field(description="of the whole that the parts add up to")


class Total(Record):
    """All that one type of operator, one node, or one kernel took, in the mean of a call or step.

    Time of what ran inside of it on the same thread does not count.
    """

    name: str
    group: str = Field(description="what kind of work it is; of a node its type of operator")
    calls: float
    ms: float
    share: float = Field(description="of the call or step")
    mean_us: float


class LongGap(Record):
    """Time in which the GPU ran nothing between these two, in the mean of a call or step."""

    after: str
    before: str
    calls: float
    ms: float


class GpuTimes(Record):
    """What a GPU did, in the mean of a call or step; kernels, copies and idle add up to it."""

    kernels_ms: float
    copies_ms: float
    idle_ms: float
    gaps_ms: float = Field(description="of the idle time, what lies between kernels")
    gaps: float = Field(description="how many of them there are")
    by_kernel: list[Total]
    by_operator: list[Total] = Field(description="GPU time of what each type of operator launched")
    longest_gaps: list[LongGap]


class Advice(Record):
    """Something to try: what was found, the figure from which on it is said, and what to do."""

    rule: str
    found: str
    threshold: str
    advice: str


class Profile(Record):
    """Where the time goes. Times are means: of calls of the same texts, over all but the slowest
    tenth; over all where texts differ, and with OpenVINO, which does not tell calls apart."""

    what: What
    model: str
    version: str
    runs_on: str = Field(description="runtime or device, precision, threads")
    threads: int
    machine: str
    texts: int = Field(description="of a call, or in the mean of a step")
    tokens: float = Field(description="of a text in the mean, without padding")
    padding_share: float = Field(description="of the tokens that are run")
    source: str = Field(description="where the texts come from")
    rounds: int = Field(description="calls or steps that count")
    runs_per_call: float | None = Field(
        default=None, description="runs that a call is cut into, as the server cuts it"
    )
    parts: list[Part] = Field(description="of a text's way, or of a step, without the profiler")
    inside: list[Part] = Field(description="of the call or step as the profiler saw it")
    plain_ms: float = Field(description="of a call or step without the profiler")
    profiled_ms: float = Field(description="of one with it")
    busy_threads: float | None = Field(
        default=None, description="cores that were busy during calls, of the threads there are"
    )
    operators: list[Total]
    nodes: list[Total] = Field(default_factory=list)
    gpu: GpuTimes | None = None
    notes: list[str] = Field(default_factory=list)
    advice: list[Advice] = Field(default_factory=list)

    @property
    def title(self) -> str:
        """What was profiled, for people."""
        return f"{self.model} {self.version}"

    @property
    def profiler_cost(self) -> float:
        """How much longer a call or step takes with the profiler, as a share of it without."""
        return self.profiled_ms / self.plain_ms - 1

    def inside_share(self, name: str) -> float:
        """The share of a part of the call or step; 0 where there is none of that name."""
        return sum(part.share for part in self.inside if part.name == name)


@dataclass(frozen=True)
class Profiling:
    """A profile, and the call or step that a timeline shows, one without a stall of the machine.

    `placed`: the profiler said when operators ran, and not only for how long.
    """

    profile: Profile
    shown: Round
    placed: bool = True
