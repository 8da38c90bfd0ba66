"""AWS, spoken to in this package and nowhere else."""
