"""Test prompts for text-to-video models, their checks, and a client that makes their clips."""
