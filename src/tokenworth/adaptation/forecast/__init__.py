"""What a route takes: parameters, FLOPs, memory, seconds and energy."""
