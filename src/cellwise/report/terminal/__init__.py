"""What the commands print: tables, lists, bars."""
