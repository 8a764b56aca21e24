"""Layers as ONNX models: the native operator where ONNX has the cell, a `Scan` over the cell's own step elsewhere."""
