"""What every job is built of, and knows neither tasks nor measures: config, statistics, output, resuming."""
