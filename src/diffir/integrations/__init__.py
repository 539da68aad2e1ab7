"""DiffIR inside other programs: what they ask for, in their own forms."""
