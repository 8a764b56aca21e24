"""What tuning tried, as part of a study's page."""
