"""Training: the phases of the method over one resumable loop."""
