"""From the runs of a study to rows and sentences; numpy and scipy only."""
