"""Nodes and constants of an ONNX graph, written down one after the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, ValueInfoProto, checker, helper, numpy_helper

# Both are of 2020, so that old programs can read the files. All operators are in it.
OPSET = 13
IR_VERSION = 7


class Graph:
    """A graph to which nodes are added.

    A value is known by its name, a text. Where a node takes a value it also takes an array,
    which becomes a constant of the graph.
    """

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def add(
        self, operator: str, *inputs: str | np.ndarray, take: int = 0, **attributes: Any
    ) -> str:
        """Add a node, and return the name of its output.

        Args:
            operator: Of ONNX, such as `MatMul`.
            inputs: Its inputs.
            take: Which of its outputs is returned; those before it are left out.
            attributes: Of the operator.
        """
        output = f"{operator}_{len(self._nodes)}"
        names = [self._name(value) for value in inputs]
        outputs = [f"{output}_{i}" for i in range(take)] + [output]
        self._nodes.append(helper.make_node(operator, names, outputs, output, **attributes))
        return output

    def rename(self, value: str, name: str) -> None:
        """Make a value known by another name, as an output of the graph."""
        self._nodes.append(helper.make_node("Identity", [value], [name], name))

    def cast(self, value: str, dtype: Any) -> str:
        """Return the value with elements of a type of NumPy."""
        to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return self.add("Cast", value, to=to)

    def reshape(self, value: str, *sides: int) -> str:
        """Return the value in another shape; a 0 keeps the length of that axis."""
        return self.add("Reshape", value, np.array(sides, np.int64))

    def sum(self, value: str, axis: int) -> str:
        """Return the sum over an axis, which is dropped."""
        return self.add("ReduceSum", value, np.array([axis], np.int64), keepdims=0)

    def _name(self, value: str | np.ndarray) -> str:
        if isinstance(value, str):
            return value
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def build(
        self,
        name: str,
        inputs: Sequence[ValueInfoProto],
        outputs: Sequence[ValueInfoProto],
        metadata: dict[str, str],
        **properties: Any,
    ) -> ModelProto:
        """Return the model, checked.

        Args:
            name: Of the graph.
            inputs: By `declare`.
            outputs: By `declare`.
            metadata: Stored with the model.
            properties: Other fields of the model, such as `producer_name`.
        """
        graph = helper.make_graph(self._nodes, name, inputs, outputs, self._constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            **properties,
        )
        helper.set_model_props(model, metadata)
        checker.check_model(model, full_check=True)
        return model


def declare(name: str, dtype: Any, shape: Sequence[int | str], doc: str) -> ValueInfoProto:
    """Return the declaration of an input or an output.

    Args:
        name: Its name.
        dtype: A type of NumPy.
        shape: Lengths of its axes; a text names one that may have any length.
        doc: What it is.
    """
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, element, shape, doc)
