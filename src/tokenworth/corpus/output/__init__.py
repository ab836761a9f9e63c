"""The end of a build: shares, shuffled files, its report."""
