"""What can be measured on a checkpoint or a pair: figures per problem, without thresholds or verdicts."""
