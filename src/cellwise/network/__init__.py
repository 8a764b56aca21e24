"""What surrounds the recurrent layer, for every task: fronts, attention, readouts, heads, decoders; time first."""
