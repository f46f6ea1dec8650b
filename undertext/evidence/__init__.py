"""Measuring each line of evidence on a pair and a task. What they amount to, undertext/verdict.py says."""
