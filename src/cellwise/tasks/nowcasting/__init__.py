"""Nowcasting: from the last frames of moving digits or of a precipitation radar, the next ones."""
