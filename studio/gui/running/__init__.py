"""Runs: what is planned, queued and under way, between the documents and the worker."""
