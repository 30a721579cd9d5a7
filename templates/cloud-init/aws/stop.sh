#!/bin/sh
# Stops this instance: EC2 stops an instance that powers itself off (its shutdown behavior is "stop").
exec shutdown -P now
