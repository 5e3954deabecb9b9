import pytest
from prometheus_client import CollectorRegistry

from service.admission import Admission, estimate_tokens, utf8_bytes
from service.errors import Refused
from service.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def test_work_over_the_limit_is_refused_and_room_is_given_back(metrics: Metrics) -> None:
    admission = Admission(100, metrics)
    with admission.admit(60):
        with pytest.raises(Refused, match="limit of 100") as refused, admission.admit(50):
            pass
        assert refused.value.reason == "inflight_tokens"
        with admission.admit(40):
            assert metrics.registry.get_sample_value("sub50_inflight") == 2
            assert metrics.registry.get_sample_value("sub50_inflight_tokens") == 100
    with admission.admit(100):
        pass
    assert metrics.registry.get_sample_value("sub50_inflight") == 0
    assert metrics.registry.get_sample_value("sub50_inflight_tokens") == 0


def test_room_is_given_back_after_a_failure(metrics: Metrics) -> None:
    admission = Admission(10, metrics)
    with pytest.raises(KeyError), admission.admit(10):
        raise KeyError
    with admission.admit(10):
        pass


def test_what_is_larger_than_the_limit_runs_alone(metrics: Metrics) -> None:
    admission = Admission(10, metrics)
    with admission.admit(1000), pytest.raises(Refused), admission.admit(1):
        pass


def test_estimates_grow_with_bytes() -> None:
    assert estimate_tokens(utf8_bytes("x" * 400)) == 102
    assert utf8_bytes("é") == 2
    assert utf8_bytes("\ud800") == 3
