"""Memory problems: sequences drawn from a seed, whose answer needs what was seen many steps before."""
