"""Write the dashboards: `python -m deploy.grafana.generate`, in the project's folder."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.grafana import engines, promise, stages, triton

FOLDER = Path(__file__).parent / "dashboards"


def dashboards() -> dict[str, str]:
    """The JSON of each dashboard, by the name of its file."""
    encoder = JSONEncoder(indent=2, sort_keys=True)
    made = (module.make().build() for module in (promise, stages, triton, engines))
    return {f"{each.uid}.json": f"{encoder.encode(each)}\n" for each in made}


def main() -> None:
    for name, content in dashboards().items():
        (FOLDER / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
