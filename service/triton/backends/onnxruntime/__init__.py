"""Stands in for NVIDIA's onnxruntime backend; Triton loads `model.py` by its path."""
