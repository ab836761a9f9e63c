"""The training loop of routes and of pretraining: steps, memory, checkpoints, several devices, loss logs."""
