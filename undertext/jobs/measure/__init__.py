"""`measure`: whether a reasoning is real, and what tuning did to it."""
