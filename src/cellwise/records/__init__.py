"""What a run leaves on disk: its record, its views, and how a folder of runs is read back."""
