"""The contract suite that every cell must pass, ours and yours; it needs torch and no test runner."""
