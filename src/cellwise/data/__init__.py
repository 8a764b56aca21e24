"""Where data comes from (address, checksum) and in what order a task sees it."""
