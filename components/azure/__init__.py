"""Clusters on Azure: components made of Pulumi's azure-native, and pure functions that know what Azure wants.

Nothing here imports the SDK when this package itself is imported: the process that serves dynamic resources needs the
module of one class only.
"""
