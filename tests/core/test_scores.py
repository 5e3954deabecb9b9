import numpy as np

from core.scores import sigmoid, softmax


def test_softmax_sums_to_one_and_survives_large_logits() -> None:
    result = softmax(np.array([[1e4, -1e4], [0.0, 0.0]], dtype=np.float32))
    assert np.allclose(result, [[1, 0], [0.5, 0.5]])
    assert result.dtype == np.float32


def test_sigmoid_survives_large_logits() -> None:
    result = sigmoid(np.array([-1e4, 0.0, 1e4], dtype=np.float32))
    assert np.allclose(result, [0, 0.5, 1])
