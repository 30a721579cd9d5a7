"""Skyrig: infrastructure as code for AI training and serving.

Importing this package is cheap on purpose: it loads neither pulumi, torch, asyncssh nor a cloud SDK.
"""

__version__ = "0.1.0"
