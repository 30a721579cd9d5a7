import skyrig as sky

task = sky.Task(envs={"A": "zero"}, num_nodes=1)
task.set_file_mounts({"~/data": "s3://$A/data"}).update_envs([("A", "one"), ("B", "2")])
task.update_secrets({"TOKEN": "hidden"})
task.num_nodes = 2
