"""Plans: what a task would come to, computed before anything is made, shown on one page, kept in a file, done as it was
said or not at all.
"""
