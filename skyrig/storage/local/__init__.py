"""The local cloud's object storage: folders, served as buckets by one real S3 server (versitygw) a stack.

The server is a detached process that listens on 127.0.0.1 alone and writes below its folder alone. What it serves stays
when it ends; `python -m skyrig.storage.local VERB` starts, looks at and stops it, `ensure` does so for a client.
"""
