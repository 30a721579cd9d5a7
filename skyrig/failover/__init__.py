"""The next offer where a cloud refuses: which places are tried, in which order, what is remembered of those that
refused, and what is written down so that a killed client leaves nothing half-made behind."""
