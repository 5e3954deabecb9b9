"""Open-loop load and a verdict on it. A black box: it knows the service by its HTTP alone."""
