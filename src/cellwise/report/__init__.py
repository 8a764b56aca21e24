"""A study shown: a table in the terminal and one HTML page that needs no network."""
