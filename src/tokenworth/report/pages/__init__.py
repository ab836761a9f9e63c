"""Pages: charts and tables of a result as one HTML file."""
