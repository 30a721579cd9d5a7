"""Clusters on AWS: EC2 instances by node id, their network, identity, image and buckets."""
