"""Training: from a checked configuration to a run record, with the one LightningModule."""
