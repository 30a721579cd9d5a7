import skyrig as sky

task = sky.Task(resources=sky.Resources(sky.AWS(), "p4d.24xlarge", region="us-east-1", zone="us-east-1a"))
