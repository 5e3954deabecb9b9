"""Thin routes: HTTP in, pipeline, HTTP out."""
