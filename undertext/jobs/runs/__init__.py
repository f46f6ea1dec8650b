"""Runs of jobs joined in one table and figure: of a grid, or of folders that are given."""
