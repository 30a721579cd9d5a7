#!/bin/sh
# Stops this machine: deallocates it, since one that is shut down from inside is still paid for.
{% include "azure/arm.sh" %}
ask POST /deallocate ''
