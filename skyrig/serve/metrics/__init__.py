"""Metrics in Prometheus' text format: what several programs tell as one text, and tokens a second out of what engines
count. The steward asks the engines on the head; a client joins what steward and controller told.
"""
