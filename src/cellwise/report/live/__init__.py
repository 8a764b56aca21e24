"""The page served while runs write: `cellwise watch`."""
