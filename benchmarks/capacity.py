"""How many APIs, Tritons and machines a rate needs, and what a million requests cost.

    .venv/bin/python -m benchmarks.capacity
    .venv/bin/python -m benchmarks.capacity --rate 2500 --best-rate 400 --api-share 0.2 --price 0.40

Without options the tables of docs/capacity.md. The measured figures are those of BENCHMARKS.md.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass

from engines.price import per_million, replicas_for
from engines.price_list import DEFAULT_PRICES, dates_of, read_prices

# vCPU of a pod, as deploy/kubernetes asks for.
API_CORES = 1
TRITON_CORES = 2
INSTANCES = 2
# The machine that all of the stack was measured on.
MEASURED_CORES = 2
# Of the vCPU of a machine, those that the system and the cluster keep.
KEPT_CORES = 1
# Autoscalers end there; more is another cell, a namespace with a service of its own.
MOST_APIS = 20
MOST_TRITONS = 40
RATES = (10, 1_000, 100_000)


@dataclass(frozen=True)
class Workload:
    """Texts of one kind: the best rate of the whole stack, and the part of it that the API takes.

    `best_rate` is in requests a second on MEASURED_CORES, with P99 under 50 ms.
    """

    name: str
    best_rate: float
    api_share: float

    @property
    def core_ms(self) -> float:
        """Milliseconds of one vCPU that a request takes, at the best rate."""
        return 1000 * MEASURED_CORES / self.best_rate

    @property
    def api_rate(self) -> float:
        """The best rate of one API."""
        return 1000 * API_CORES / (self.core_ms * self.api_share)

    @property
    def triton_rate(self) -> float:
        """The best rate of one Triton."""
        return 1000 * TRITON_CORES / (self.core_ms * (1 - self.api_share))


@dataclass(frozen=True)
class Machine:
    """A machine to hire: vCPU, and the list price of an hour."""

    name: str
    cores: int
    price_per_hour: float


@dataclass(frozen=True)
class Plan:
    """Pods for a rate. Each API has `lanes` (SUB50_ENGINE_LANES)."""

    apis: int
    tritons: int

    @property
    def lanes(self) -> int:
        """Instances of an engine that fall to one API."""
        return INSTANCES * self.tritons // self.apis

    @property
    def cores(self) -> int:
        """vCPU of all pods."""
        return API_CORES * self.apis + TRITON_CORES * self.tritons

    @property
    def cells(self) -> int:
        """Deployments that the pods are divided into."""
        return max(math.ceil(self.apis / MOST_APIS), math.ceil(self.tritons / MOST_TRITONS))


# Processor time of a request of the API, and of Triton with its backends, at 300 sentences/s.
SENTENCES = Workload("sentences of about 25 tokens", 343, 1.21 / (1.21 + 0.31 + 3.54))
# The API's at 20 sentences/s, where least of it is shared; no profile of reviews was taken.
REVIEWS = Workload("reviews of about 128 tokens", 51, 2.64 / (1000 * MEASURED_CORES / 51))
# Of the price list that comes with `sub50 engines cost`: on demand, Linux, in us-east-1 and
# us-central1.
LISTED = {price.machine: price for price in read_prices(DEFAULT_PRICES)}
MACHINES = tuple(
    Machine(name, 8, LISTED[name].price_per_hour)
    for name in ("AWS c7i.2xlarge", "AWS c7a.2xlarge", "GCP n2-standard-8")
)
PRICES_OF = dates_of([LISTED[machine.name] for machine in MACHINES])


def plan_for(rate: float, workload: Workload) -> Plan:
    """The fewest vCPU that suffice, with a whole number of lanes to each API."""
    apis = replicas_for(rate, workload.api_rate)
    tritons = replicas_for(rate, workload.triton_rate)
    # With twice as many APIs as are needed, or one lane more each, a whole number has been found.
    plans = (
        Plan(more_apis, more_tritons)
        for more_apis in range(apis, 2 * apis + 1)
        for more_tritons in range(tritons, tritons + more_apis + 1)
        if INSTANCES * more_tritons % more_apis == 0
    )
    return min(plans, key=lambda plan: (plan.cores, plan.apis))


def machines_for(plan: Plan, machine: Machine) -> int:
    """Machines that hold the pods, two at least."""
    return max(math.ceil(plan.cores / (machine.cores - KEPT_CORES)), 2)


def cost_per_million(rate: float, machines: int, machine: Machine) -> float:
    """What a million requests cost where `machines` serve `rate` a second all day."""
    return per_million(machines * machine.price_per_hour, rate)


def pod_rows(workload: Workload, rates: tuple[float, ...] = RATES) -> Iterator[str]:
    """A table of pods, as Markdown."""
    yield "| requests/s | APIs | Tritons | lanes | vCPU | cells |"
    yield "|---|---|---|---|---|---|"
    for rate in rates:
        plan = plan_for(rate, workload)
        figures = (plan.apis, plan.tritons, plan.lanes, plan.cores, plan.cells)
        yield f"| {rate:,.0f} | " + " | ".join(f"{figure:,}" for figure in figures) + " |"


def cost_rows(
    workload: Workload,
    rates: tuple[float, ...] = RATES,
    machines: tuple[Machine, ...] = MACHINES,
) -> Iterator[str]:
    """A table of machines and costs, as Markdown."""
    yield "| machine | an hour | " + " | ".join(f"{rate:,.0f}/s" for rate in rates) + " |"
    yield "|---|---|" + "---|" * len(rates)
    for machine in machines:
        cells = []
        for rate in rates:
            count = machines_for(plan_for(rate, workload), machine)
            cells.append(f"{cost_per_million(rate, count, machine):,.2f} ({count:,})")
        yield f"| {machine.name} | {machine.price_per_hour:.3f} | " + " | ".join(cells) + " |"


def positive(text: str) -> float:
    """An option's value over 0."""
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not over 0")
    return number


def share(text: str) -> float:
    """An option's value between 0 and 1."""
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


def cores(text: str) -> int:
    """The vCPU of a machine that holds a Triton beside what it keeps."""
    number = int(text)
    if number < KEPT_CORES + TRITON_CORES:
        raise argparse.ArgumentTypeError(f"a machine of {text} vCPU holds no Triton")
    return number


def main(given: list[str] | None = None) -> None:
    """Print the tables."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--rate", type=positive, help="requests a second; default: three")
    options.add_argument(
        "--best-rate", type=positive, help="yours, on two vCPU with all of the stack"
    )
    options.add_argument("--api-share", type=share, help="the API's part of the processor time")
    options.add_argument("--price", type=positive, help="of a machine an hour, in any currency")
    options.add_argument("--cores", type=cores, default=8, help="vCPU of that machine")
    asked = options.parse_args(given)
    workloads: tuple[Workload, ...] = (SENTENCES, REVIEWS)
    if asked.best_rate is not None:
        part = asked.api_share or SENTENCES.api_share
        workloads = (Workload("your texts", asked.best_rate, part),)
    rates = RATES if asked.rate is None else (asked.rate,)
    own = Machine("your machine", asked.cores, asked.price or 0.0)
    for workload in workloads:
        print(f"\n{workload.name}\n")
        print("\n".join(pod_rows(workload, rates)))
        print()
        print("\n".join(cost_rows(workload, rates, MACHINES if asked.price is None else (own,))))


if __name__ == "__main__":
    main()
