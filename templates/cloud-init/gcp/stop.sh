#!/bin/sh
# Stops this machine: Compute Engine stops one that powers itself off. What is on its local disks is lost.
exec shutdown -P now
