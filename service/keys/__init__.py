"""API keys: how they are made, written, read, looked up, limited and changed while serving."""
