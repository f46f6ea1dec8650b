"""The figures of reports, drawn from plain rows."""
