"""One folder a job: config, job, result, report, command."""
