"""What clusters have cost: what is known of each deployment, kept so that it survives the stack's removal, and the pure
functions that make intervals, days and sums of that.
"""
