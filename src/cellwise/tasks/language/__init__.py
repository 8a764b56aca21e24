"""Language modelling, word and character: predict the next token from all before it."""
