"""Measuring each line of evidence on a pair and a task. What the lines amount to, undertext/verdict.py says."""
