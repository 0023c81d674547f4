"""What is wrong with the weights of an ONNX file is said when it is loaded."""

import numpy as np
import onnx
import pytest

from mmpfcn.deployment.onnx_inferencer import OnnxInferencer


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('raw', [True, False])
def test_weights_that_are_not_finite_are_refused(exported, tmp_path, value, raw):
    model = onnx.load(exported / 'model.onnx')
    (weights,) = (x for x in model.graph.initializer if x.name.endswith('center_out.bias'))
    numbers = onnx.numpy_helper.to_array(weights).copy()
    numbers[1] = value
    weights.CopyFrom(onnx.numpy_helper.from_array(numbers, weights.name))
    if not raw:
        weights.ClearField('raw_data')
        weights.float_data.extend(numbers.tolist())
    onnx.save(model, tmp_path / 'model.onnx')
    with pytest.raises(ValueError, match='1 of 6 numbers of .*center_out.bias are NaN or infinite'):
        OnnxInferencer(tmp_path / 'model.onnx')
