"""What every room stands on: whole files, locks, processes, devices and memory, keys and kept cells."""
