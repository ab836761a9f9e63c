"""The results below a folder as one index: found, compared with what they have to beat, and with each other."""
