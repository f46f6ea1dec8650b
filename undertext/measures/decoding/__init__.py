"""What can be read off activations: probes of a task's values, their controls, and their transfer."""
