"""What a fitted route is worth: metrics, suspicious labels, what training did to the backbone."""
