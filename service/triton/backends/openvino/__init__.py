"""Stands in for NVIDIA's openvino backend; Triton loads `model.py` by its path."""
