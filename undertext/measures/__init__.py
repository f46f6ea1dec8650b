"""What can be measured on a checkpoint or a pair: figures per problem, no thresholds, no verdict words."""
