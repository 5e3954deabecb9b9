"""The panels of Triton's dashboard on its GPU, empty where it has none.

Triton reads its GPUs' figures from the driver, once a second, and names each by its UUID
(https://github.com/triton-inference-server/server/blob/main/docs/user_guide/metrics.md).
"""

from __future__ import annotations

from deploy.grafana.panels import GREEN, RED, TRITONS, YELLOW, Panel, Query, graph, says

DRIFT = "Sub50PredictionDrift"


def panels() -> list[Panel]:
    """Use, memory and power of the GPU of each Triton."""
    return [
        graph(
            "GPU in use",
            says(
                "Share of the time in which anything ran on it; empty without a GPU. Near 100 %: "
                "start another Triton. Near 0 % under load: the engines run on processors.",
                DRIFT,
            ),
            "percentunit",
            Query(f"avg by (instance) (nv_gpu_utilization{{{TRITONS}}})", "{{instance}}"),
            steps=((None, GREEN), (0.9, YELLOW)),
        ),
        graph(
            "GPU memory of each Triton",
            "Taken on its GPU, by all models and whatever else runs there, and what there is. What "
            "a model takes is the step at its loading.",
            "bytes",
            Query(f"sum by (instance) (nv_gpu_memory_used_bytes{{{TRITONS}}})", "{{instance}}"),
            Query(
                f"sum by (instance) (nv_gpu_memory_total_bytes{{{TRITONS}}})",
                "{{instance}}, there is",
            ),
        ),
        graph(
            "GPU memory in use",
            "Over 90 %, another version of a model may find no room beside the one that serves. "
            "Then spread the models over more Tritons.",
            "percentunit",
            Query(
                f"sum by (instance) (nv_gpu_memory_used_bytes{{{TRITONS}}}) / "
                f"sum by (instance) (nv_gpu_memory_total_bytes{{{TRITONS}}})",
                "{{instance}}",
            ),
            steps=((None, GREEN), (0.9, YELLOW), (0.97, RED)),
        ),
        graph(
            "GPU power",
            says("At its limit a GPU clocks down, and engine calls take longer.", DRIFT),
            "percentunit",
            Query(
                f"sum by (instance) (nv_gpu_power_usage{{{TRITONS}}}) / "
                f"sum by (instance) (nv_gpu_power_limit{{{TRITONS}}})",
                "{{instance}}",
            ),
            steps=((None, GREEN), (0.95, YELLOW)),
        ),
    ]
