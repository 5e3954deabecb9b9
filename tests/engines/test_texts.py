from __future__ import annotations

from engines.texts import SENTENCES, calibration_texts, probe_texts


def test_engines_are_not_judged_by_the_texts_that_set_their_scales() -> None:
    assert len(set(SENTENCES)) == len(SENTENCES)
    calibration = " ".join(calibration_texts())
    probes = " ".join(probe_texts())
    used_by_both = [s for s in SENTENCES if len(s) > 20 and s in calibration and s in probes]
    assert used_by_both == []


def test_probes_are_distinct_and_of_mixed_length() -> None:
    texts = probe_texts(96)
    assert len(texts) == 96
    assert len(set(texts)) > 80
    lengths = [len(text.split()) for text in texts]
    assert min(lengths) < 6
    assert max(lengths) > 200
    assert sum(length < 30 for length in lengths) > 30


def test_the_texts_are_the_same_every_time() -> None:
    assert calibration_texts() == calibration_texts()
    assert probe_texts(10) == probe_texts(96)[:10]
