"""A tiny network for features in ONNX."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper


def onnx_network(
    path: Path, shape: Sequence[str | int] = ("batch", "n_samples"), kind: int = TensorProto.FLOAT, scale: float = 1.0
) -> Path:
    """Write a network whose embedding is the mean over the last axis and its product with `scale`."""
    nodes = [
        helper.make_node("ReduceMean", ["waveform", "axes"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", "scale"], ["scaled"]),
        helper.make_node("Concat", ["mean", "scaled"], ["embedding"], axis=-1),
    ]
    numpy_kind = helper.tensor_dtype_to_np_dtype(kind)
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [1], [-1]),
        helper.make_tensor("scale", kind, [], np.array([scale], numpy_kind)),
    ]
    output = [*shape[:-1], 2]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("waveform", kind, shape)],
        [helper.make_tensor_value_info("embedding", kind, output)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, path)
    return path
