import numpy as np
import pytest

from core.scores import scores_of, sigmoid, softmax


def test_softmax_sums_to_one_and_survives_large_logits() -> None:
    result = softmax(np.array([[1e4, -1e4], [0.0, 0.0]], dtype=np.float32))
    assert np.allclose(result, [[1, 0], [0.5, 0.5]])
    assert result.dtype == np.float32


def test_sigmoid_survives_large_logits() -> None:
    result = sigmoid(np.array([-1e4, 0.0, 1e4], dtype=np.float32))
    assert np.allclose(result, [0, 0.5, 1])


@pytest.mark.parametrize(
    ("problem_type", "expected"),
    [
        ("single_label", [[0.5, 0.5], [0.25, 0.75]]),
        ("multi_label", [[0.5, 0.5], [0.5, 0.75]]),
        ("regression", [[0.0, 0.0], [0.0, np.log(3)]]),
    ],
)
def test_logits_mean_what_the_problem_says(problem_type: str, expected: list[list[float]]) -> None:
    logits = np.array([[0, 0], [0, np.log(3)]], dtype=np.float32)
    found = scores_of(logits, problem_type)
    assert np.allclose(found, expected)
    assert found.dtype == np.float32
