#!/bin/sh
# Stops this machine: with the recovery policy FAIL, Compute leaves one that shuts itself down stopped.
exec shutdown -P now
