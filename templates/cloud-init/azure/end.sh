#!/bin/sh
# Ends this machine for good: deletes it, and its boot disk with it.
{% include "azure/arm.sh" %}
ask DELETE '' ''
