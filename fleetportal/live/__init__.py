"""Live pages: one stream for each page, carrying names of what changed and never content."""
