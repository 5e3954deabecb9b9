"""Training tests make their own base encoder and data: small, random, offline."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny import write_tokenizer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "train" in Path(str(item.fspath)).parts:
            item.add_marker(pytest.mark.train)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT encoder of two narrow layers, with a tokenizer."""
    transformers = pytest.importorskip(
        "transformers", reason="the training side is not installed; run `make setup-train`"
    )
    import torch

    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=128,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    transformers.BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    write_tokenizer(folder / "tokenizer.json")
    return folder
