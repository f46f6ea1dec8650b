"""What every job is built of, and what knows neither tasks nor measures: config, statistics, output, resuming."""
