"""From a command line or a study to many runs: compose, plan, execute."""
