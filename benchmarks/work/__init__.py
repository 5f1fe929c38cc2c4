"""What runs inside the peers' own processes: the job's body, their workers' applications, their producers."""
