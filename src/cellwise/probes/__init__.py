"""What the textbooks say of a cell in words, shown on a real run: gates, memory, gradients, spectrum."""
